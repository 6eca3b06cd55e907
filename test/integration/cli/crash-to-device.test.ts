import { expect } from 'chai'
import { dig, eventsAt, MatrixClient, path } from '../../support/matrix-client.js'
import { ServerProcess, sqliteDatabase } from '../../support/server-process.js'

const MESSAGES = 1_000
const KILL_EVERY = 400

/** Messages for devices that were acknowledged to their sender reach the device, in order, whatever happens between. */
describe('messages for devices and kill -9', function () {
  this.timeout(300_000)

  it(`loses none of ${MESSAGES}`, async () => {
    await using server = await ServerProcess.start({
      database: sqliteDatabase(),
      config: { enable_registration: true, enable_registration_without_verification: true },
    })
    const anonymous = new MatrixClient(server.url)
    const alice = await anonymous.register('alice', 'secret')
    const bob = await anonymous.register('bob', 'secret')
    const send = (index: number): Promise<unknown> =>
      alice.must('PUT', path`/_matrix/client/v3/sendToDevice/m.test/t${String(index)}`, {
        body: { messages: { [bob.userId]: { [bob.deviceId]: { index } } } },
      })
    const received: number[] = []
    let since: string | undefined
    const receive = async (): Promise<number> => {
      const answer = await bob.sync({ since, timeout: 0 })
      const indices = eventsAt(answer, 'to_device', 'events').map((event) =>
        Number(dig(event, 'content', 'index')),
      )
      received.push(...indices)
      since = answer['next_batch'] as string
      return indices.length
    }
    for (let index = 0; index < MESSAGES; index++) {
      await send(index)
      if (index % KILL_EVERY !== KILL_EVERY - 1) continue
      await receive()
      await server.end('SIGKILL')
      await server.restart()
      // What the client has been given and not acknowledged may come again, what it has acknowledged may not.
      expect(await send(index)).to.deep.equal({})
    }
    while ((await receive()) > 0);
    const first = received.filter((index, place) => received.indexOf(index) === place)
    expect(first).to.deep.equal(Array.from({ length: MESSAGES }, (_, index) => index))
  })
})
