import type { Bench, Figures } from '../bench.js'
import { inParallel } from '../statistics.js'

interface HierarchyPage {
  readonly rooms: readonly unknown[]
  readonly next_batch?: string
}

/** The hierarchy of a space with many rooms, for somebody who is only in the space: its first page, and all of it. */
export async function measureHierarchy(bench: Bench): Promise<Figures> {
  const count = bench.sizes.spaceRooms
  const owner = await bench.client.register(bench.name('space'))
  const space = await owner.createRoom({ preset: 'public_chat', creation_content: { type: 'm.space' } })
  await inParallel(count, 8, async (index) => {
    const child = await owner.createRoom({
      preset: 'public_chat',
      name: `Child ${index}`,
      topic: 'Of a space',
    })
    const content = { via: [owner.userId.slice(owner.userId.indexOf(':') + 1)], order: `${index}` }
    await owner.sendState(space, { type: 'm.space.child', stateKey: child, content })
  })
  const visitor = await bench.client.register(bench.name('visitor'))
  await visitor.join(space)
  const page = (from?: string): Promise<HierarchyPage> => {
    const query = new URLSearchParams({ limit: '50', ...(from !== undefined && { from }) })
    const path = `/_matrix/client/v1/rooms/${encodeURIComponent(space)}/hierarchy?${query.toString()}`
    return visitor.request('GET', path)
  }
  const walk = async (): Promise<void> => {
    let rooms = 0
    let from: string | undefined
    do {
      const answer: HierarchyPage = await page(from)
      rooms += answer.rooms.length
      from = answer.next_batch
    } while (from !== undefined)
    if (rooms < count) throw new Error(`The hierarchy has ${rooms} rooms, not ${count + 1}`)
  }
  return {
    ...(await bench.time(`hierarchy of ${count} rooms, first page`, 50, () => page())),
    ...(await bench.time(`hierarchy of ${count} rooms, all pages`, 10, walk)),
  }
}
