import { expect } from 'chai'
import { Preset } from 'matrix-js-sdk'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { startHomeserver } from '../../support/homeserver.js'
import {
  cryptoOf,
  EncryptingClients,
  eventsIn,
  textsIn,
  until,
  untilAsync,
  type EncryptingClient,
} from '../../support/sdk-clients.js'

/** How often the server stops and starts again in between; many times where the environment says so. */
const ROUNDS = Number(process.env['MXHS_ENCRYPTION_ROUNDS'] ?? 2)
const ROUND_MS = 120_000

/** One address for a server that comes back at another port each time. */
class StablePort implements AsyncDisposable {
  readonly #server: Server
  readonly #sockets = new Set<Socket>()

  private constructor(port: () => number) {
    this.#server = createServer((inside) => {
      const outside = connect(port(), '127.0.0.1')
      for (const socket of [inside, outside]) {
        this.#sockets.add(socket)
        socket.on('error', () => undefined)
        socket.on('close', () => {
          this.#sockets.delete(socket)
          inside.destroy()
          outside.destroy()
        })
      }
      inside.pipe(outside).pipe(inside)
    })
  }

  /** `port`: where connections lead that come now. */
  static async open(port: () => number): Promise<StablePort> {
    const stable = new StablePort(port)
    await new Promise<void>((resolve) => stable.#server.listen(0, '127.0.0.1', resolve))
    return stable
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await new Promise((resolve) => this.#server.close(resolve))
  }
}

/** Somebody with a device, and how much had been said when it came. */
interface Person extends EncryptingClient {
  readonly from: number
}

/** Everybody says something, with new keys each time; gives what was said. */
function sayAll(people: readonly Person[], roomId: string, round: number): Promise<string[]> {
  return Promise.all(
    people.map(async (person, index) => {
      const text = `round ${round}, device ${index}`
      await cryptoOf(person).forceDiscardSession(roomId)
      await person.client.sendTextMessage(roomId, text)
      return text
    }),
  )
}

/** Resolves when everybody encrypts for a new device. */
async function untilKnown(people: readonly Person[], { client }: EncryptingClient): Promise<void> {
  const userId = client.getSafeUserId()
  for (const person of people) {
    await untilAsync(async () => {
      const devices = await cryptoOf(person).getUserDeviceInfo([userId])
      return devices.get(userId)?.has(client.getDeviceId() ?? '') === true
    })
  }
}

describe('Encrypted rooms while the server stops and starts', () => {
  it('lose no key: everything that is said is read by everybody', async function () {
    this.timeout(ROUND_MS * (ROUNDS + 1))
    await using hs = await startHomeserver()
    await using port = await StablePort.open(() => Number(new URL(hs.url).port))
    await hs.register('alice')
    await hs.register('bob')
    const clients = new EncryptingClients(() => port.url)
    try {
      const alice = await clients.begin('alice')
      const bob = await clients.begin('bob')
      const { room_id: roomId } = await alice.client.createRoom({
        preset: Preset.PrivateChat,
        invite: [bob.client.getSafeUserId()],
        initial_state: [
          { type: 'm.room.encryption', state_key: '', content: { algorithm: 'm.megolm.v1.aes-sha2' } },
        ],
      })
      await until(bob.client, () => bob.client.getRoom(roomId)?.getMyMembership() === 'invite')
      await bob.client.joinRoom(roomId)
      for (const { client } of [alice, bob])
        await until(client, () => client.getRoom(roomId)?.getJoinedMemberCount() === 2)

      const people: Person[] = [alice, bob].map((person) => ({ ...person, from: 0 }))
      const said: string[] = []
      for (let round = 0; round < ROUNDS; round++) {
        // A further device of Bob's comes now and then, which reads what is said from then on.
        if (round % 10 === 1) {
          people.push({ ...(await clients.begin('bob')), from: said.length })
          await untilKnown(people, people.at(-1)!)
        }
        said.push(...(await sayAll(people, roomId, round)))
        await hs.restart()
        clients.retryNow()
        for (const { client, from } of people) {
          const expected = said.slice(from)
          await until(client, () => expected.every((text) => textsIn(client, roomId).includes(text)))
        }
      }
      const first = [alice, bob].flatMap(({ client }) => eventsIn(client, roomId))
      expect(first.filter((event) => event.isDecryptionFailure())).to.deep.equal([])
    } finally {
      clients.stop()
    }
  })
})
