import type { Bench, Figures } from '../bench.js'
import type { Session } from '../client.js'
import { Arrivals } from '../federation/arrivals.js'
import type { FederatedServers } from '../federation/federated-servers.js'
import { latencies } from '../statistics.js'

const SENDERS = 10
const QUIET_MESSAGES = 200

/**
 * Messages from users of one server to a user of another: one after the other has arrived, then as fast as one and as
 * ten can send them. The delay is from the send's answer to that of the other user's sync.
 */
export async function measureFederatedMessages(bench: Bench, servers: FederatedServers): Promise<Figures> {
  const [a, b] = [await servers.start(), await servers.start()]
  const senders: Session[] = []
  for (let index = 0; index < SENDERS; index++) senders.push(await a.client.register(`sender${index}`))
  const [owner] = senders
  const roomId = await owner!.createRoom()
  for (const sender of senders.slice(1)) await sender.join(roomId)
  const reader = await b.client.register('reader')
  await reader.join(roomId, a.serverName)
  const arrivals = await Arrivals.begin(reader)
  const load = { roomId, arrivals }
  await sendAll([owner!], { ...load, messages: QUIET_MESSAGES })
  const quiet = latencies(await sendOneByOne(owner!, load))
  const single = await sendAll([owner!], { ...load, messages: bench.sizes.messages / 4 })
  const cpuBefore = [await a.process.cpuSeconds(), await b.process.cpuSeconds()]
  const many = await sendAll(senders, { ...load, messages: bench.sizes.messages })
  const cpu = [await a.process.cpuSeconds(), await b.process.cpuSeconds()].map(
    (seconds, index) => ((seconds - cpuBefore[index]!) * 1000) / many.delays.length,
  )
  await arrivals.end(() => reader.send(roomId, 'The end'))
  return {
    'to another server, quiet: delay p50, ms': quiet.p50,
    'to another server, quiet: delay p99, ms': quiet.p99,
    ...titled('to another server, 1 sender', single),
    ...titled(`to another server, ${SENDERS} senders`, many),
    [`to another server, ${SENDERS} senders: ms of CPU per message, sending`]: cpu[0]!,
    [`to another server, ${SENDERS} senders: ms of CPU per message, receiving`]: cpu[1]!,
    'to another server: memory of the sending one at most, MB': await a.process.peakMb(),
    'to another server: memory of the other at most, MB': await b.process.peakMb(),
  }
}

interface Load {
  readonly roomId: string
  readonly arrivals: Arrivals
}

interface Flow {
  /** Until the last has arrived. */
  readonly perSecond: number
  readonly delays: readonly number[]
}

function titled(title: string, { perSecond, delays }: Flow): Figures {
  const { p50, p99 } = latencies(delays)
  return {
    [`${title}: messages/s`]: perSecond,
    [`${title}: delay p50, ms`]: p50,
    [`${title}: delay p99, ms`]: p99,
  }
}

async function sendOneByOne(sender: Session, { roomId, arrivals }: Load): Promise<number[]> {
  const delays: number[] = []
  for (let message = 0; message < QUIET_MESSAGES; message++) {
    const eventId = await sender.send(roomId, `Message ${message}`)
    const answered = performance.now()
    delays.push(Math.max(0, (await arrivals.of(eventId)) - answered))
  }
  return delays
}

/** All send at the same time, each one message after the other. */
async function sendAll(
  senders: readonly Session[],
  { roomId, arrivals, messages }: Load & { readonly messages: number },
): Promise<Flow> {
  const perSender = Math.ceil(messages / senders.length)
  const waiting: Promise<{ arrived: number; answered: number }>[] = []
  const start = performance.now()
  await Promise.all(
    senders.map(async (sender) => {
      for (let message = 0; message < perSender; message++) {
        const eventId = await sender.send(
          roomId,
          `Message ${message} of a typical length, neither short nor long.`,
        )
        const answered = performance.now()
        waiting.push(arrivals.of(eventId).then((arrived) => ({ arrived, answered })))
      }
    }),
  )
  const ways = await Promise.all(waiting)
  const last = ways.reduce((latest, { arrived }) => Math.max(latest, arrived), start)
  return {
    perSecond: ways.length / ((last - start) / 1000),
    delays: ways.map(({ arrived, answered }) => Math.max(0, arrived - answered)),
  }
}
