import type { Bench, Figures } from '../bench.js'
import type { Session } from '../client.js'
import { inParallel } from '../statistics.js'

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

/** The first window of an account in many rooms, each time of another login, and once the whole list after it. */
export async function measureSlidingSync(
  bench: Bench,
  load: { rooms: number; rounds: number },
): Promise<Figures> {
  const name = bench.name('sliding')
  const owner = await bench.client.register(name)
  await inParallel(load.rooms, 8, async (index) => {
    const roomId = await owner.createRoom({ name: `Room ${index}` })
    await owner.send(roomId, `Message ${index}`)
  })
  // Two more: for the very first request, and for the one before what is timed.
  const sessions: Session[] = []
  for (let round = 0; round < load.rounds + 2; round++) sessions.push(await bench.client.login(name))
  const firstWindow = async (session: Session): Promise<string> => {
    const { pos, count } = await session.slidingSync(FIRST_WINDOW)
    if (count !== load.rooms) throw new Error(`The list has ${count} rooms, not ${load.rooms}`)
    return pos
  }
  const first = sessions.pop()!
  const start = performance.now()
  const pos = await firstWindow(first)
  const firstMs = performance.now() - start
  const list = { ...FIRST_WINDOW.lists.all_rooms, ranges: [[0, load.rooms - 1]] }
  const again = performance.now()
  await first.slidingSync({ ...FIRST_WINDOW, lists: { all_rooms: list } }, pos)
  const allMs = performance.now() - again
  const title = `sliding sync, first window of ${load.rooms} rooms`
  return {
    [`${title}: first, ms`]: firstMs,
    ...(await bench.time(title, load.rounds, (index) => firstWindow(sessions[index]!))),
    [`sliding sync, all of ${load.rooms} rooms after it, ms`]: allMs,
  }
}
