import type { Bench, Figures } from './bench.js'
import { measureCreateRoom, measureLargeRoom, measureLogin } from './scenarios/accounts-and-rooms.js'
import { measureDeepMessages } from './scenarios/deep-messages.js'
import { measureDeviceKeys } from './scenarios/device-keys.js'
import { federationScenarios } from './scenarios/federation.js'
import { measureMedia } from './scenarios/media.js'
import { measurePushing } from './scenarios/pushing.js'
import { measureSearching } from './scenarios/searching.js'
import { measureSending } from './scenarios/sending.js'
import { measureSlidingSync } from './scenarios/sliding-sync.js'
import { measureHierarchy } from './scenarios/space-hierarchy.js'
import { measureInitialSync, measureWakeUp } from './scenarios/syncing.js'
import { measureToDevice } from './scenarios/to-device.js'

const SENDING = [
  { senders: 1, rooms: 1 },
  { senders: 10, rooms: 1 },
  { senders: 10, rooms: 10 },
  { senders: 20, rooms: 20 },
  { senders: 50, rooms: 50 },
]

/** What can be measured, by the name that `--only` takes, in the order in which it is. */
export const scenarios: Readonly<Record<string, (bench: Bench) => Promise<Figures>>> = {
  // First, so that the memory is that of uploads and not of what has been before.
  media: measureMedia,
  sending,
  waking,
  accounts,
  'large-room': largeRoom,
  'initial-sync': initialSync,
  'sliding-sync': (bench) => measureSlidingSync(bench, { rooms: bench.sizes.rooms * 2, rounds: 20 }),
  search: measureSearching,
  hierarchy: measureHierarchy,
  'deep-messages': measureDeepMessages,
  keys: measureDeviceKeys,
  'to-device': measureToDevice,
  push: measurePushing,
  ...federationScenarios,
}

async function sending(bench: Bench): Promise<Figures> {
  const figures: Figures = {}
  for (const { senders, rooms } of SENDING) {
    const messages = senders === 1 ? bench.sizes.messages / 4 : bench.sizes.messages
    const name = bench.name(`s${senders}r${rooms}u`)
    const result = await measureSending(bench.client, { senders, rooms, messages, name })
    const title = `${senders} ${senders === 1 ? 'sender' : 'senders'}, ${rooms} ${rooms === 1 ? 'room' : 'rooms'}`
    figures[`${title}: messages/s`] = result.perSecond
    figures[`${title}: p50, ms`] = result.p50
    figures[`${title}: p99, ms`] = result.p99
    if (senders === 20) figures[`${title}: share of bare node:http`] = result.perSecond / bench.bareHttp
  }
  return figures
}

async function waking(bench: Bench): Promise<Figures> {
  const quiet = await measureWakeUp(bench.client, { messages: 200, senders: 0, name: bench.name('w') })
  const busy = await measureWakeUp(bench.client, { messages: 200, senders: 10, name: bench.name('b') })
  return {
    'sync woken after the send, quiet: p50, ms': quiet.p50,
    'sync woken after the send, quiet: p99, ms': quiet.p99,
    'sync woken after the send, 10 senders: p50, ms': busy.p50,
    'sync woken after the send, 10 senders: p99, ms': busy.p99,
  }
}

async function accounts(bench: Bench): Promise<Figures> {
  const login = await measureLogin(bench.client, { count: 100, name: bench.name('l') })
  const createRoom = await measureCreateRoom(bench.client, { count: 100, name: bench.name('c') })
  return {
    'login: p50, ms': login.p50,
    'createRoom: p50, ms': createRoom.p50,
    'createRoom: p99, ms': createRoom.p99,
  }
}

async function largeRoom(bench: Bench): Promise<Figures> {
  const large = await measureLargeRoom(bench, 50)
  return {
    [`room of ${large.members}: registered and joined, per s`]: large.fillPerSecond,
    [`room of ${large.members}: join p50, ms`]: large.join.p50,
    [`room of ${large.members}: initial sync, ms`]: large.initialSyncMs,
  }
}

async function initialSync(bench: Bench): Promise<Figures> {
  const load = { rooms: bench.sizes.rooms, name: bench.name('i') }
  const sync = await measureInitialSync(bench.client, load)
  return {
    [`initial sync of ${sync.rooms} rooms: first, ms`]: sync.firstMs,
    [`initial sync of ${sync.rooms} rooms: p50, ms`]: sync.p50,
  }
}
