import type { Bench, Figures } from '../bench.js'
import { inParallel } from '../statistics.js'

const PAGES = 40
const AUTHORS = 10

/** Pages of 50 messages deep in a room with a long history, in both directions, and their surroundings. */
export async function measureDeepMessages(bench: Bench): Promise<Figures> {
  const count = bench.sizes.history
  const owner = await bench.client.register(bench.name('history'))
  const roomId = await owner.createRoom()
  const authors = await bench.people(AUTHORS)
  for (const author of authors) await author.join(roomId)
  const eventIds: string[] = []
  await inParallel(count, 40, async (index) => {
    const text = `Message ${index} of a typical length, neither short nor long.`
    eventIds.push(await authors[index % AUTHORS]!.send(roomId, text))
  })
  const room = `/_matrix/client/v3/rooms/${encodeURIComponent(roomId)}`
  // In the first half of the history, so that either way there is much left.
  const eventAt = (index: number): string => eventIds[Math.floor((count / 2) * ((index + 1) / (PAGES + 2)))]!
  const filter = encodeURIComponent(JSON.stringify({ lazy_load_members: true }))
  const contextAt = (index: number): Promise<{ start: string; end: string }> =>
    owner.request('GET', `${room}/context/${encodeURIComponent(eventAt(index))}?limit=20&filter=${filter}`)
  const tokens: { start: string; end: string }[] = []
  const contexts = await bench.time(`context deep in ${count} messages`, PAGES, async (index) => {
    tokens[index] = await contextAt(index)
  })
  const page = async (from: string, dir: 'b' | 'f'): Promise<void> => {
    const path = `${room}/messages?from=${encodeURIComponent(from)}&dir=${dir}&limit=50&filter=${filter}`
    const { chunk } = await owner.request<{ chunk: readonly unknown[] }>('GET', path)
    if (chunk.length === 0) throw new Error('There are no messages where there should be many')
  }
  const title = `messages deep in ${count}, page of 50`
  return {
    ...contexts,
    ...(await bench.time(`${title} backwards`, PAGES, (index) => page(tokens[index]!.start, 'b'))),
    ...(await bench.time(`${title} forwards`, PAGES, (index) => page(tokens[index]!.end, 'f'))),
  }
}
