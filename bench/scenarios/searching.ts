import type { Bench, Figures } from '../bench.js'
import { inParallel } from '../statistics.js'

const MESSAGES_PER_ROOM = 20

/** Searches of an account in many rooms, each of which has hits. */
export async function measureSearching(bench: Bench): Promise<Figures> {
  const count = bench.sizes.searchedRooms
  const owner = await bench.client.register(bench.name('search'))
  await inParallel(count, 8, async (room) => {
    const roomId = await owner.createRoom({ preset: 'private_chat', name: `Searched ${room}` })
    for (let message = 0; message < MESSAGES_PER_ROOM; message++) {
      const text = `Report ${message} of room${room}, in which everybody writes about the harvest`
      await owner.send(roomId, message === 7 ? `${text} and one about the weather` : text)
    }
  })
  const search = (term: string, more: object = {}): Promise<unknown> =>
    owner.request('POST', '/_matrix/client/v3/search', {
      search_categories: { room_events: { search_term: term, order_by: 'recent', ...more } },
    })
  const inAll = `search in ${count} rooms`
  const context = { event_context: { before_limit: 1, after_limit: 1, include_profile: true } }
  const byRoom = { groupings: { group_by: [{ key: 'room_id' }] } }
  return {
    ...(await bench.time(`${inAll}, a word of one room`, 50, (round) => search(`room${round % count}`))),
    ...(await bench.time(`${inAll}, a word once in each`, 50, () => search('weather', context))),
    ...(await bench.time(`${inAll}, a word of every message`, 50, () => search('harvest'))),
    ...(await bench.time(`${inAll}, the same by rank`, 50, () =>
      search('harvest', { order_by: 'rank', ...byRoom }),
    )),
  }
}
