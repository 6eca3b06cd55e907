import { expect } from 'chai'
import { Notifier } from '../../../../src/services/streams/notifier.js'
import { StreamPositions } from '../../../../src/services/streams/stream-positions.js'
import type { RoomId, UserId } from '../../../../src/protocol/ids.js'
import { ManualClock } from '../../../support/manual-clock.js'

const ALICE = '@alice:hs.test' as UserId
const BOB = '@bob:hs.test' as UserId
const ROOM = '!room:hs.test' as RoomId
const OTHER = '!other:hs.test' as RoomId

describe('Notifier', () => {
  let clock: ManualClock
  let position: number
  let notifier: Notifier
  const never = new AbortController().signal

  beforeEach(() => {
    clock = new ManualClock()
    position = 1
    const source = { position: () => position }
    const names = [
      'events',
      'receipts',
      'account_data',
      'presence',
      'typing',
      'to_device',
      'device_lists',
      'push_rules',
    ]
    notifier = new Notifier(
      clock,
      new StreamPositions(Object.fromEntries(names.map((name) => [name, source])) as never),
    )
  })

  it('says where the streams are', () => {
    position = 7
    expect(notifier.currentToken()).to.include({ events: 7, receipts: 7, accountData: 7, pushRules: 7 })
  })

  it('wakes by room and by name, and nobody else', async () => {
    const byRoom = notifier.watch(ALICE)
    byRoom.follow(new Set([ROOM]))
    const byName = notifier.watch(BOB)
    const waits = [byRoom.wait(1000, never), byName.wait(1000, never)]
    notifier.onNewPosition('events', { rooms: [OTHER], users: ['@carol:hs.test' as UserId] })
    expect(clock.pending).to.equal(2)
    notifier.onNewPosition('events', { rooms: [ROOM] })
    notifier.onNewPosition('account_data', { users: [BOB] })
    expect(await Promise.all(waits)).to.deep.equal(['woken', 'woken'])
    expect(clock.pending).to.equal(0)
  })

  it('remembers what happens while nobody waits, until it is armed again', async () => {
    const watch = notifier.watch(ALICE)
    notifier.onNewPosition('events', { users: [ALICE] })
    expect(await watch.wait(1000, never)).to.equal('woken')
    watch.rearm()
    const waiting = watch.wait(1000, never)
    clock.advance(1000)
    expect(await waiting).to.equal('timeout')
    expect(await watch.wait(0, never)).to.equal('timeout')
  })

  it('follows the rooms that it was told of last', async () => {
    const watch = notifier.watch(ALICE)
    watch.follow(new Set([ROOM]))
    watch.follow(new Set([OTHER]))
    notifier.onNewPosition('events', { rooms: [ROOM] })
    const waiting = watch.wait(1000, never)
    expect(clock.pending).to.equal(1)
    notifier.onNewPosition('events', { rooms: [OTHER] })
    expect(await waiting).to.equal('woken')
  })

  it('ends with the signal, before and while waiting', async () => {
    const controller = new AbortController()
    const watch = notifier.watch(ALICE)
    const waiting = watch.wait(1000, controller.signal)
    controller.abort()
    expect(await waiting).to.equal('aborted')
    expect(await watch.wait(1000, controller.signal)).to.equal('aborted')
    expect(clock.pending).to.equal(0)
  })

  it('ends all waits when the server stops, and lets nobody wait any more', async () => {
    const watch = notifier.watch(ALICE)
    const waiting = watch.wait(1000, never)
    notifier.close()
    expect(await waiting).to.equal('aborted')
    expect(await notifier.watch(BOB).wait(1000, never)).to.equal('aborted')
  })

  it('forgets watches that are closed, and users who have been idle for long', () => {
    for (let index = 0; index < 3000; index++) {
      const watch = notifier.watch(`@user${index}:hs.test` as UserId)
      watch.follow(new Set([ROOM]))
      watch.close()
    }
    expect(notifier.watches).to.equal(0)
    const watch = notifier.watch(ALICE)
    expect(notifier.watches).to.equal(1)
    watch.close()
    expect(notifier.watches).to.equal(0)
  })
})
