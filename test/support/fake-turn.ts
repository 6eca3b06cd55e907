import { createSocket, type Socket as DatagramSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer, type AddressInfo, type Server } from 'node:net'
import { createHmac } from 'node:crypto'
import {
  decodeStunMessage,
  encodeStunMessage,
  longTermKey,
  STUN_ATTRIBUTE,
  STUN_TYPE,
  type StunMessage,
} from '../../src/net/clients/stun-message.js'

const REALM = 'relay.test'
const NONCE = 'once'
/** The signature and its head. */
const INTEGRITY_BYTES = 24

/** A relay, on UDP and TCP, that knows one shared secret. */
export class FakeTurn implements AsyncDisposable {
  /** What it answers to somebody who has proved who they are; undefined: an address to relay from. */
  refusal: number | undefined
  /** It relays for whoever asks. */
  isOpen = false
  /** It does not answer to the first datagrams. */
  lost = 0
  readonly #secret: string
  readonly #datagrams: DatagramSocket
  readonly #server: Server

  private constructor(secret: string) {
    this.#secret = secret
    this.#datagrams = createSocket('udp4', (data, { port, address }) => {
      if (this.lost-- > 0) return
      const answer = this.#answer(data)
      if (answer !== undefined) this.#datagrams.send(answer, port, address)
    })
    this.#server = createServer((socket) => {
      socket.on('error', () => undefined)
      socket.on('data', (data: Buffer) => {
        const answer = this.#answer(data)
        // In two pieces, as a stream may bring it.
        if (answer !== undefined) {
          socket.write(answer.subarray(0, 7))
          socket.write(answer.subarray(7))
        }
      })
    })
  }

  static async start(secret: string): Promise<FakeTurn> {
    const turn = new FakeTurn(secret)
    turn.#datagrams.bind(0, '127.0.0.1')
    turn.#server.listen(0, '127.0.0.1')
    await Promise.all([once(turn.#datagrams, 'listening'), once(turn.#server, 'listening')])
    return turn
  }

  get udpUri(): string {
    return `turn:127.0.0.1:${this.#datagrams.address().port}?transport=udp`
  }

  get tcpUri(): string {
    return `turn:127.0.0.1:${(this.#server.address() as AddressInfo).port}?transport=tcp`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([
      new Promise<void>((resolve) => this.#datagrams.close(() => resolve())),
      new Promise<void>((resolve) => this.#server.close(() => resolve())),
    ])
  }

  #answer(data: Buffer): Buffer | undefined {
    const message = decodeStunMessage(data)
    if (message === undefined) return undefined
    const { transactionId } = message
    const answer = (type: number, attributes: readonly (readonly [number, Buffer])[] = []): Buffer =>
      encodeStunMessage({ type, transactionId, attributes: new Map(attributes) })
    if (message.type === STUN_TYPE.bindingRequest) return answer(STUN_TYPE.bindingSuccess)
    if (message.type !== STUN_TYPE.allocateRequest) return undefined
    if (this.isOpen) return answer(STUN_TYPE.allocateSuccess)
    if (!this.#isProven(data, message)) {
      return answer(STUN_TYPE.allocateError, [
        errorCode(401),
        [STUN_ATTRIBUTE.realm, Buffer.from(REALM)],
        [STUN_ATTRIBUTE.nonce, Buffer.from(NONCE)],
      ])
    }
    if (this.refusal !== undefined) return answer(STUN_TYPE.allocateError, [errorCode(this.refusal)])
    return answer(STUN_TYPE.allocateSuccess)
  }

  /** By RFC 8489, section 14.5, written down once more. */
  #isProven(data: Buffer, { attributes }: StunMessage): boolean {
    const signature = attributes.get(STUN_ATTRIBUTE.messageIntegrity)
    const username = attributes.get(STUN_ATTRIBUTE.username)?.toString()
    if (signature === undefined || username === undefined) return false
    const password = createHmac('sha1', this.#secret).update(username).digest('base64')
    const signed = data.subarray(0, data.length - INTEGRITY_BYTES)
    const key = longTermKey(username, REALM, password)
    const isFresh = Number(username.split(':')[0]) * 1000 > Date.now()
    return isFresh && createHmac('sha1', key).update(signed).digest().equals(signature)
  }
}

function errorCode(code: number): readonly [number, Buffer] {
  return [STUN_ATTRIBUTE.errorCode, Buffer.from([0, 0, Math.floor(code / 100), code % 100])]
}
