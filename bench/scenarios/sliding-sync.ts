import type { BenchClient } from '../client.js'
import { inParallel, latencies } from '../statistics.js'

/** What the mobile clients of Element ask for when they start: the first twenty rooms, one event of each. */
const FIRST_WINDOW = {
  conn_id: 'room-list',
  lists: {
    all_rooms: {
      ranges: [[0, 19]],
      timeline_limit: 1,
      required_state: [
        ['m.room.name', ''],
        ['m.room.encryption', ''],
        ['m.room.member', '$LAZY'],
        ['m.room.member', '$ME'],
        ['m.room.topic', ''],
        ['m.room.avatar', ''],
        ['m.room.canonical_alias', ''],
        ['m.room.power_levels', ''],
        ['m.room.join_rules', ''],
        ['m.room.create', ''],
        ['m.room.tombstone', ''],
        ['m.space.parent', '*'],
        ['m.space.child', '*'],
      ],
      filters: { not_room_types: ['m.space'] },
    },
  },
  extensions: {
    account_data: { enabled: true },
    receipts: { enabled: true, rooms: ['*'] },
    typing: { enabled: true },
  },
}

export interface SlidingSyncFigures {
  /** The very first, with nothing in memory. */
  readonly firstMs: number
  readonly p50: number
  readonly p99: number
  /** All rooms at once, after the first window. */
  readonly allMs: number
}

/** The first window of an account in many rooms, each time of another login, and once the whole list after it. */
export async function measureSlidingSync(
  client: BenchClient,
  load: { rooms: number; rounds: number; name: string },
): Promise<SlidingSyncFigures> {
  const owner = await client.register(`${load.name}owner`)
  await inParallel(load.rooms, 8, async (index) => {
    const roomId = await owner.createRoom({ name: `Room ${index}` })
    await owner.send(roomId, `Message ${index}`)
  })
  const times: number[] = []
  let allMs = 0
  for (let round = 0; round < load.rounds; round++) {
    const session = await client.login(`${load.name}owner`)
    const start = performance.now()
    const { pos, count } = await session.slidingSync(FIRST_WINDOW)
    times.push(performance.now() - start)
    if (count !== load.rooms) throw new Error(`The list has ${count} rooms, not ${load.rooms}`)
    if (round > 0) continue
    const list = { ...FIRST_WINDOW.lists.all_rooms, ranges: [[0, load.rooms - 1]] }
    const again = performance.now()
    await session.slidingSync({ ...FIRST_WINDOW, lists: { all_rooms: list } }, pos)
    allMs = performance.now() - again
  }
  const { p50, p99 } = latencies(times)
  return { firstMs: times[0] ?? 0, p50, p99, allMs }
}
