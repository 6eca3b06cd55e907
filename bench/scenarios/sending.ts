import type { BenchClient, Session } from '../client.js'
import { inParallel, latencies, type Latencies } from '../statistics.js'

export interface SendingResult extends Latencies {
  readonly senders: number
  readonly rooms: number
  readonly perSecond: number
}

/** Each sender sends its messages one after the other, all senders at the same time. Rates after a warm-up. */
export async function measureSending(
  client: BenchClient,
  load: { senders: number; rooms: number; messages: number; name: string },
): Promise<SendingResult> {
  const sessions: Session[] = []
  for (let index = 0; index < load.senders; index++) {
    sessions.push(await client.register(`${load.name}${index}`))
  }
  const rooms: string[] = []
  for (let index = 0; index < load.rooms; index++) rooms.push(await sessions[index]!.createRoom())
  const roomOf = (index: number): string => rooms[index % rooms.length]!
  await inParallel(sessions.length, 10, async (index) => {
    if (index >= rooms.length) await sessions[index]!.join(roomOf(index))
  })
  const perSender = Math.ceil(load.messages / load.senders)
  const run = async (count: number): Promise<number[]> => {
    const times: number[] = []
    await Promise.all(
      sessions.map(async (session, index) => {
        for (let message = 0; message < count; message++) {
          const start = performance.now()
          await session.send(roomOf(index), `Message ${message} of a typical length, neither short nor long.`)
          times.push(performance.now() - start)
        }
      }),
    )
    return times
  }
  await run(Math.ceil(perSender / 5))
  const start = performance.now()
  const times = await run(perSender)
  const seconds = (performance.now() - start) / 1000
  return { senders: load.senders, rooms: load.rooms, perSecond: times.length / seconds, ...latencies(times) }
}
