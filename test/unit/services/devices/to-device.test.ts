import { expect } from 'chai'
import type { DeviceId, UserId } from '../../../../src/protocol/ids.js'
import {
  createEphemeralFixture,
  requesterOf,
  type EphemeralFixture,
} from '../../../support/ephemeral-services.js'
import { forEachDatabase } from '../../../support/databases.js'
import { rejection } from '../../../support/rejection.js'

const alice = requesterOf('alice').userId
const bob = requesterOf('bob').userId
const PHONE = 'PHONE' as DeviceId
const LAPTOP = 'LAPTOP' as DeviceId

forEachDatabase('ToDevice', (open) => {
  let fixture: EphemeralFixture
  beforeEach(async () => {
    fixture = await createEphemeralFixture(await open())
    await fixture.db.write('test', async (tx) => {
      for (const deviceId of [PHONE, LAPTOP]) {
        const device = { userId: bob, deviceId, displayName: undefined, createdTs: 0 }
        await fixture.devices.insert(tx, device)
      }
    })
  })

  const send = (content: object, type = 'm.test'): Promise<void> =>
    fixture.toDevice.send(alice, type, { [bob]: { [PHONE]: content } } as never)
  const list = (deviceId: DeviceId = PHONE, limit = 100, upTo = fixture.streams.toDevice.position()) =>
    fixture.toDevice.list(fixture.db.reader, bob, deviceId, { upTo, limit })
  const contents = async (deviceId?: DeviceId) => (await list(deviceId)).events.map(({ content }) => content)

  it('keeps messages in the order of arrival until the device has them', async () => {
    expect(await contents()).to.deep.equal([])
    await send({ n: 1 })
    await send({ n: 2 })
    const { events, upTo } = await list()
    expect(events).to.deep.equal([
      { sender: alice, type: 'm.test', content: { n: 1 } },
      { sender: alice, type: 'm.test', content: { n: 2 } },
    ])
    expect(await contents()).to.have.length(2)
    await send({ n: 3 })
    await fixture.toDevice.acknowledge(bob, PHONE, upTo)
    expect(await contents()).to.deep.equal([{ n: 3 }])
  })

  it('wakes those who get something', async () => {
    await send({})
    expect(fixture.positions.at(-1)).to.deep.equal({ stream: 'to_device', hints: { users: [bob] } })
  })

  it('gives no more than asked for, and acknowledges no more than given', async () => {
    for (const n of [1, 2, 3]) await send({ n })
    const first = await list(PHONE, 2)
    expect(first.events).to.have.length(2)
    await fixture.toDevice.acknowledge(bob, PHONE, first.upTo)
    expect(await contents()).to.deep.equal([{ n: 3 }])
    const rest = await list(PHONE, 2)
    expect(rest.upTo).to.equal(fixture.streams.toDevice.position())
  })

  it('shows nothing after the position that is asked for', async () => {
    await send({ n: 1 })
    const position = fixture.streams.toDevice.position()
    await send({ n: 2 })
    expect((await list(PHONE, 100, position)).events).to.have.length(1)
    await fixture.toDevice.acknowledge(bob, PHONE, position)
    expect(await contents()).to.deep.equal([{ n: 2 }])
  })

  it('reaches all devices with a star, but each only once', async () => {
    await fixture.toDevice.send(alice, 'm.test', { [bob]: { '*': { all: true }, [PHONE]: { all: false } } })
    expect(await contents(PHONE)).to.deep.equal([{ all: false }])
    expect(await contents(LAPTOP)).to.deep.equal([{ all: true }])
  })

  it('passes over devices and users that do not exist', async () => {
    const nobody = '@nobody:hs.test' as UserId
    await fixture.toDevice.send(alice, 'm.test', { [bob]: { NONE: {} }, [nobody]: { '*': {} } })
    expect(await fixture.db.reader.all('SELECT * FROM device_inbox')).to.deep.equal([])
  })

  it('keeps what has no form in the database', async () => {
    const content = { text: 'nul \u0000 and half \ud800 of a pair', nested: [{ a: 1.5 }] }
    await send(content)
    expect(await contents()).to.deep.equal([content])
  })

  it('refuses what is no message', async () => {
    const refused: [unknown, string][] = [
      [{ nobody: {} }, 'M_INVALID_PARAM'],
      [{ [bob]: [] }, 'M_BAD_JSON'],
      [{ [bob]: { [PHONE]: 'text' } }, 'M_BAD_JSON'],
      [{ [bob]: { [PHONE]: { more: 'x'.repeat(65_536) } } }, 'M_TOO_LARGE'],
      [
        { [bob]: Object.fromEntries(Array.from({ length: 10_001 }, (_, n) => [`D${n}`, {}])) },
        'M_INVALID_PARAM',
      ],
    ]
    for (const [messages, errcode] of refused) {
      expect(await rejection(fixture.toDevice.send(alice, 'm.test', messages as never))).to.include({
        errcode,
      })
    }
    expect(await rejection(send({}, 'x'.repeat(256)))).to.include({ errcode: 'M_INVALID_PARAM' })
  })

  it('deletes the messages of a device that goes away', async () => {
    await fixture.toDevice.send(alice, 'm.test', { [bob]: { '*': {} } })
    expect(await contents(PHONE)).to.have.length(1)
    await fixture.db.write('test', (tx) => fixture.toDevice.deleteForDevices(tx, bob, [PHONE]))
    expect(await contents(PHONE)).to.deep.equal([])
    expect(await contents(LAPTOP)).to.have.length(1)
  })

  it('hands on what is for users of other servers', async () => {
    const carol = '@carol:elsewhere.test' as UserId
    await fixture.toDevice.send(alice, 'm.test', { [carol]: { '*': {} }, [bob]: { [PHONE]: {} } })
    expect(await contents(PHONE)).to.have.length(1)
    expect(fixture.sentRemotely).to.deep.equal([{ type: 'm.test', users: [carol] }])
  })

  it('asks the database nothing of a device for which nothing waits', async () => {
    await list()
    let queries = 0
    const counting = new Proxy(fixture.db.reader, {
      get: (target, name) => {
        if (name === 'all' || name === 'first') queries += 1
        const value: unknown = Reflect.get(target, name)
        return typeof value === 'function' ? (value.bind(target) as unknown) : value
      },
    })
    await fixture.toDevice.list(counting, bob, PHONE, { upTo: 1, limit: 10 })
    expect(queries).to.equal(0)
  })
})
