import type { BenchClient, SyncAnswer } from '../client.js'
import { inParallel, latencies, type Latencies } from '../statistics.js'

/**
 * How long after the send's answer a waiting sync has answered, while `senders` others keep the server busy in rooms of
 * their own (0: a quiet server). Negative times (the sync was faster) count as 0.
 */
export async function measureWakeUp(
  client: BenchClient,
  load: { messages: number; senders: number; name: string },
): Promise<Latencies> {
  const alice = await client.register(`${load.name}alice`)
  const bob = await client.register(`${load.name}bob`)
  const roomId = await alice.createRoom()
  await bob.join(roomId)
  let busy = true
  const noise = Array.from({ length: load.senders }, async (_, index) => {
    const sender = await client.register(`${load.name}noise${index}`)
    const own = await sender.createRoom()
    while (busy) await sender.send(own, 'Noise')
  })
  const times: number[] = []
  let { next_batch: since } = await bob.sync()
  for (let message = 0; message < load.messages; message++) {
    const waiting = waitForEvent(bob, roomId, since)
    const eventId = await alice.send(roomId, `Wake up ${message}`)
    const answered = performance.now()
    const woken = await waiting
    times.push(Math.max(0, woken.at - answered))
    since = woken.since
    if (!woken.events.includes(eventId)) throw new Error(`The sync missed ${eventId}`)
  }
  busy = false
  await Promise.all(noise)
  return latencies(times)
}

async function waitForEvent(
  session: Awaited<ReturnType<BenchClient['register']>>,
  roomId: string,
  since: string,
): Promise<{ at: number; since: string; events: string[] }> {
  let token = since
  for (;;) {
    const answer = await session.sync(token, 30_000)
    const events = answer.rooms?.join?.[roomId]?.timeline.events ?? []
    token = answer.next_batch
    if (events.length > 0) {
      return { at: performance.now(), since: token, events: events.map((event) => event.event_id) }
    }
  }
}

/** An initial sync of an account in many rooms: the first, and the median of those that follow. */
export async function measureInitialSync(
  client: BenchClient,
  load: { rooms: number; name: string },
): Promise<{ rooms: number; firstMs: number; p50: number }> {
  const owner = await client.register(`${load.name}owner`)
  const joiner = await client.register(`${load.name}joiner`)
  await inParallel(load.rooms, 8, async (index) => {
    const roomId = await owner.createRoom({ preset: 'public_chat', name: `Room ${index}` })
    await joiner.join(roomId)
    for (let message = 0; message < 5; message++) await owner.send(roomId, `Message ${message}`)
  })
  const times: number[] = []
  for (let round = 0; round < 7; round++) {
    // Another login each time, so that no cache of answers can serve it.
    const session = await client.login(`${load.name}joiner`)
    const start = performance.now()
    const text = await session.initialSyncText()
    times.push(performance.now() - start)
    const joined = Object.keys((JSON.parse(text) as SyncAnswer).rooms?.join ?? {})
    if (joined.length !== load.rooms) throw new Error(`An initial sync has ${joined.length} rooms`)
  }
  return { rooms: load.rooms, firstMs: times[0]!, p50: latencies(times).p50 }
}
