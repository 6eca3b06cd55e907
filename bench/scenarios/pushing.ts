import { setTimeout } from 'node:timers/promises'
import { FakePushGateway } from '../../test/support/fake-push-gateway.js'
import type { Bench, Figures } from '../bench.js'
import type { Session } from '../client.js'
import { inParallel } from '../statistics.js'

const MESSAGES = 20
const WAIT_MS = 60_000

/**
 * Messages in the large room, whose push rules have to be evaluated for every member: first as it is, then with rules
 * of some members and their pushers, whom a gateway of this process waits for.
 */
export async function measurePushing(bench: Bench): Promise<Figures> {
  const room = await bench.largeRoom()
  const { members, pushers } = bench.sizes
  const send = (index: number): Promise<unknown> =>
    room.owner.send(room.roomId, `To all ${members}: ${index}`)
  const plain = await bench.time(`message to ${members} members`, MESSAGES * 5, send)
  await using gateway = await FakePushGateway.start()
  const notified = room.members.slice(0, pushers)
  try {
    await inParallel(notified.length, 20, (index) => wantPushes(notified[index]!, { index, gateway }))
  } catch (error) {
    bench.notes.push(`push: the server takes no pusher for ${gateway.url}: ${(error as Error).message}`)
    return plain
  }
  const start = performance.now()
  const title = `message to ${members} members, ${notified.length} with rules and pushers`
  const pushed = await bench.time(title, MESSAGES, send)
  const expected = notified.length * (MESSAGES + 1)
  const seconds = await untilTold(gateway, { expected, start })
  const told = gateway.notifications.length
  if (told < expected)
    bench.notes.push(`push: ${told} of ${expected} notifications came within ${WAIT_MS} ms`)
  return { ...plain, ...pushed, [`${title}: pushes/s`]: told / seconds }
}

async function wantPushes(
  session: Session,
  { index, gateway }: { index: number; gateway: FakePushGateway },
): Promise<void> {
  const rule = { pattern: `word${index % 20}`, actions: ['notify', { set_tweak: 'highlight' }] }
  await session.request('PUT', '/_matrix/client/v3/pushrules/global/content/word', rule)
  await session.request('POST', '/_matrix/client/v3/pushers/set', gateway.pusher({ pushkey: `key${index}` }))
}

/** Waits until so many notifications have come; gives the seconds since `start`. */
async function untilTold(
  gateway: FakePushGateway,
  { expected, start }: { expected: number; start: number },
): Promise<number> {
  while (gateway.notifications.length < expected && performance.now() - start < WAIT_MS) await setTimeout(10)
  return (performance.now() - start) / 1000
}
