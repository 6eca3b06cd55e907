import { createSocket } from 'node:dgram'
import { connect as connectTcp, isIP, type Socket } from 'node:net'
import { connect as connectTls, createSecureContext } from 'node:tls'
import type { Clock, Timer } from '../../util/clock.js'
import { randomSeed } from '../../util/random.js'
import type { TlsSettings } from '../dialer.js'
import type { Dns } from '../dns.js'
import {
  decodeStunMessage,
  encodeStunMessage,
  errorCodeOf,
  longTermKey,
  STUN_ATTRIBUTE,
  STUN_TYPE,
  type StunMessage,
} from './stun-message.js'

/** What a `turn:` or `turns:` URI says. https://www.rfc-editor.org/rfc/rfc7065 */
export interface TurnUri {
  readonly host: string
  readonly port: number
  readonly transport: 'udp' | 'tcp' | 'tls'
}

export interface TurnCredentials {
  readonly username: string
  readonly password: string
}

/** A relay that does not do what it is there for. */
export class TurnFailure extends Error {
  override readonly name = 'TurnFailure'
  /** `reach`: nothing answers; `credentials`: it does not accept them; `relay`: it gives no address to relay from. */
  readonly stage: 'reach' | 'credentials' | 'relay'

  constructor(stage: TurnFailure['stage'], message: string) {
    super(message)
    this.stage = stage
  }
}

const TRANSACTION_ID_BYTES = 12
const TIMEOUT_MS = 6_000
/** Datagrams get lost. */
const REPEAT_MS = 1_000
const URI = /^(turns?):(\[[0-9a-f:.]+\]|[^:?[\]\s/]+)(?::(\d{1,5}))?(?:\?transport=(udp|tcp))?$/i

/** Undefined for what is no such URI. */
export function parseTurnUri(uri: string): TurnUri | undefined {
  const [, scheme, host, port, transport] = URI.exec(uri) ?? []
  if (scheme === undefined || host === undefined) return undefined
  const isSecure = scheme.toLowerCase() === 'turns'
  // Encryption of datagrams is left to clients that can do it: here `turns:` is TLS.
  const used = isSecure ? 'tls' : transport?.toLowerCase() === 'tcp' ? 'tcp' : 'udp'
  const fallback = isSecure ? 5349 : 3478
  return {
    host: host.replace(/^\[|\]$/g, ''),
    port: port === undefined ? fallback : Number(port),
    transport: used,
  }
}

export interface TurnProbeOptions {
  readonly clock: Pick<Clock, 'setTimeout'>
  readonly dns: Pick<Dns, 'lookup'>
  readonly tls: TlsSettings
}

/**
 * Asks a relay who we are (a STUN binding request), then for an address to relay from, with these credentials, and gives
 * that back. Throws a `TurnFailure`.
 */
export async function probeTurn(
  uri: TurnUri,
  credentials: TurnCredentials | undefined,
  options: TurnProbeOptions,
): Promise<void> {
  const link = await openLink(uri, options)
  try {
    const { type } = await link.ask(STUN_TYPE.bindingRequest, new Map())
    if (type !== STUN_TYPE.bindingSuccess)
      throw new TurnFailure('reach', 'it does not answer as a STUN server does')
    if (credentials !== undefined) await allocate(link, credentials)
  } finally {
    link.close()
  }
}

/** The protocol number of UDP: the only one that is relayed. */
const RELAYED_TRANSPORT = Buffer.from([17, 0, 0, 0])

async function allocate(link: Link, { username, password }: TurnCredentials): Promise<void> {
  const wanted = [[STUN_ATTRIBUTE.requestedTransport, RELAYED_TRANSPORT]] as const
  const challenge = await link.ask(STUN_TYPE.allocateRequest, new Map(wanted))
  if (challenge.type === STUN_TYPE.allocateSuccess) {
    throw new TurnFailure('credentials', 'it relays for anybody, without credentials')
  }
  const realm = challenge.attributes.get(STUN_ATTRIBUTE.realm)
  const nonce = challenge.attributes.get(STUN_ATTRIBUTE.nonce)
  if (errorCodeOf(challenge) !== 401 || realm === undefined || nonce === undefined) {
    throw new TurnFailure(
      'relay',
      `it does not ask for credentials (${errorCodeOf(challenge) ?? 'no'} error)`,
    )
  }
  const proof = [
    [STUN_ATTRIBUTE.username, Buffer.from(username)],
    [STUN_ATTRIBUTE.realm, realm],
    [STUN_ATTRIBUTE.nonce, nonce],
  ] as const
  const key = longTermKey(username, realm.toString('utf8'), password)
  const answer = await link.ask(STUN_TYPE.allocateRequest, new Map([...wanted, ...proof]), key)
  if (answer.type === STUN_TYPE.allocateSuccess) {
    const ended = [[STUN_ATTRIBUTE.lifetime, Buffer.alloc(4)], ...proof] as const
    // Whether it is heard or not: the address is given back sooner, or when its time is over.
    void link.ask(STUN_TYPE.refreshRequest, new Map(ended), key).catch(() => undefined)
    return
  }
  const code = errorCodeOf(answer)
  if (code === 401 || code === 441)
    throw new TurnFailure('credentials', `it refuses the credentials (${code})`)
  throw new TurnFailure('relay', `it gives no address to relay from (error ${code ?? 'unknown'})`)
}

/** A way to a relay on which one question after the other is asked. */
interface Link {
  /** Rejects with a `TurnFailure` when no answer comes. */
  ask(type: number, attributes: ReadonlyMap<number, Buffer>, key?: Buffer): Promise<StunMessage>
  close(): void
}

interface Place extends TurnUri {
  readonly address: string
  readonly family: 4 | 6
}

async function openLink(uri: TurnUri, options: TurnProbeOptions): Promise<Link> {
  const [found] = await options.dns.lookup(uri.host).catch((error: unknown) => {
    throw new TurnFailure('reach', (error as Error).message)
  })
  if (found === undefined) throw new TurnFailure('reach', `${uri.host} has no address`)
  const place = { ...uri, ...found }
  return uri.transport === 'udp' ? openDatagrams(place, options) : openStream(place, options)
}

async function openDatagrams({ address, family, port }: Place, { clock }: TurnProbeOptions): Promise<Link> {
  const socket = createSocket(family === 6 ? 'udp6' : 'udp4')
  await new Promise<void>((resolve, reject) => {
    socket.once('error', (error) => reject(new TurnFailure('reach', error.message)))
    socket.connect(port, address, resolve)
  })
  const exchange = new Exchange(clock)
  socket.on('message', (data) => void exchange.receive(data))
  // Nobody listens there: the system says so when the next datagram is sent.
  socket.on('error', (error) => exchange.fail(error.message))
  return {
    ask: (type, attributes, key) =>
      exchange.ask({ type, attributes, key }, { send: (data) => socket.send(data), repeats: true }),
    close: () => {
      exchange.fail('closed')
      socket.close()
    },
  }
}

async function openStream(
  { host, address, port, transport }: Place,
  { clock, tls }: TurnProbeOptions,
): Promise<Link> {
  const exchange = new Exchange(clock)
  const socket: Socket =
    transport === 'tcp'
      ? connectTcp({ host: address, port })
      : connectTls({
          host: address,
          port,
          ...(isIP(host) === 0 ? { servername: host } : {}),
          rejectUnauthorized: tls.verify,
          secureContext: createSecureContext(
            tls.authorities === undefined ? {} : { ca: [...tls.authorities] },
          ),
        })
  const timer = clock.setTimeout(() => socket.destroy(new Error('no answer')), TIMEOUT_MS)
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once(transport === 'tcp' ? 'connect' : 'secureConnect', resolve).once('error', reject)
    })
  } catch (error) {
    socket.destroy()
    throw new TurnFailure('reach', (error as Error).message)
  } finally {
    timer.cancel()
  }
  let unread = Buffer.alloc(0)
  socket.on('data', (chunk: Buffer) => {
    unread = Buffer.concat([unread, chunk])
    unread = unread.subarray(exchange.receive(unread))
    if (unread.length > 65_536) socket.destroy()
  })
  socket.on('error', (error) => exchange.fail(error.message))
  socket.on('close', () => exchange.fail('the connection was closed'))
  return {
    ask: (type, attributes, key) =>
      exchange.ask({ type, attributes, key }, { send: (data) => socket.write(data), repeats: false }),
    close: () => socket.destroy(),
  }
}

interface Question {
  readonly type: number
  readonly attributes: ReadonlyMap<number, Buffer>
  readonly key: Buffer | undefined
}

/** Waits for the answer to one question at a time. */
class Exchange {
  readonly #clock: TurnProbeOptions['clock']
  #waiting:
    | { transactionId: Buffer; resolve: (answer: StunMessage) => void; reject: (error: Error) => void }
    | undefined
  #over: string | undefined

  constructor(clock: TurnProbeOptions['clock']) {
    this.#clock = clock
  }

  async ask(
    { type, attributes, key }: Question,
    { send, repeats }: { send: (data: Buffer) => void; repeats: boolean },
  ): Promise<StunMessage> {
    if (this.#over !== undefined) throw new TurnFailure('reach', this.#over)
    const transactionId = Buffer.from(randomSeed().subarray(0, TRANSACTION_ID_BYTES))
    const data = encodeStunMessage({ type, transactionId, attributes }, key)
    const timers: Timer[] = []
    try {
      return await new Promise<StunMessage>((resolve, reject) => {
        this.#waiting = { transactionId, resolve, reject }
        for (let after = REPEAT_MS; repeats && after < TIMEOUT_MS; after += REPEAT_MS) {
          timers.push(this.#clock.setTimeout(() => send(data), after))
        }
        timers.push(this.#clock.setTimeout(() => reject(new TurnFailure('reach', 'no answer')), TIMEOUT_MS))
        send(data)
      })
    } finally {
      this.#waiting = undefined
      for (const timer of timers) timer.cancel()
    }
  }

  /** Gives how many bytes it has used. */
  receive(data: Buffer): number {
    const message = decodeStunMessage(data)
    if (message === undefined) return 0
    if (this.#waiting?.transactionId.equals(message.transactionId) === true) this.#waiting.resolve(message)
    return message.length
  }

  fail(reason: string): void {
    this.#over = reason
    this.#waiting?.reject(new TurnFailure('reach', reason))
  }
}
