import { MatrixError, notFound, tooLarge } from '../../protocol/errors.js'
import type { Clock } from '../../util/clock.js'
import { LETTERS_AND_DIGITS, randomString } from '../../util/random.js'

export interface RendezvousOptions {
  /** `experimental_features.msc4108_enabled`: the first version of the proposal, for everybody. */
  readonly isOpenByUrl: boolean
  /** `experimental_features.msc4388_mode`: who may begin a session by the second version. */
  readonly mode: 'off' | 'open' | 'authenticated'
  /** `public_baseurl`, with a slash at its end. */
  readonly publicBaseUrl: string
}

/** What a session holds. */
export interface RendezvousPayload {
  readonly data: string
  /** Of `data`, for the first version; answered as it came. */
  readonly contentType: string
  /** Another for each write. */
  readonly revision: string
  readonly changedTs: number
  readonly expiresTs: number
}

interface Session extends RendezvousPayload {
  readonly id: string
  /** What was answered to each transaction: the revision, or nothing where the write was refused. */
  readonly answers: Map<string, string | undefined>
  readonly writes: number
}

const MAX_DATA_BYTES = 4096
const LIFETIME_MS = 5 * 60_000
/** When there are more, the oldest ends. */
const MAX_SESSIONS = 1000
/** A login takes a dozen writes. */
const MAX_TRANSACTIONS = 200
const ID_LENGTH = 24

/** Somebody else has written since the writer last looked. */
export class ConcurrentWriteError extends Error {
  override readonly name = 'ConcurrentWriteError'
}

/**
 * Places where two devices of a user meet so that one can help the other to log in: each a short text that whoever
 * knows its name can read and replace. In memory, for five minutes.
 * https://github.com/matrix-org/matrix-spec-proposals/blob/main/proposals/4388-secure-qr-channel.md
 */
export class Rendezvous {
  readonly options: RendezvousOptions
  readonly #clock: Pick<Clock, 'now'>
  /** In the order of their beginning. */
  readonly #sessions = new Map<string, Session>()

  constructor(clock: Pick<Clock, 'now'>, options: RendezvousOptions) {
    this.#clock = clock
    this.options = options
  }

  /** Begins a session. Throws `M_TOO_LARGE` for more than 4096 bytes. */
  create(data: string, contentType = 'text/plain'): RendezvousPayload & { readonly id: string } {
    checkSize(data)
    this.#forgetOld()
    const now = this.#clock.now()
    const session: Session = {
      id: randomString(ID_LENGTH, LETTERS_AND_DIGITS),
      data,
      contentType,
      revision: '1',
      changedTs: now,
      expiresTs: now + LIFETIME_MS,
      answers: new Map(),
      writes: 1,
    }
    this.#sessions.set(session.id, session)
    return session
  }

  /** Throws `M_NOT_FOUND` for sessions that are over. */
  read(id: string): RendezvousPayload {
    const session = this.#sessions.get(id)
    if (session === undefined || session.expiresTs <= this.#clock.now()) {
      throw notFound('There is no such rendezvous session')
    }
    return session
  }

  /** As `read`, with how long the session has still to go. */
  readNow(id: string): RendezvousPayload & { readonly expiresInMs: number } {
    const payload = this.read(id)
    return { ...payload, expiresInMs: payload.expiresTs - this.#clock.now() }
  }

  /**
   * Replaces what a session holds, if `revision` is the current one; the same transaction gets the same answer again.
   * Throws `M_NOT_FOUND`, `M_TOO_LARGE`, and a `ConcurrentWriteError` when somebody else has written.
   */
  write(
    id: string,
    input: { data: string; revision: string; txnId?: string | undefined; contentType?: string },
  ): RendezvousPayload {
    const session = this.read(id) as Session
    checkSize(input.data)
    const { txnId } = input
    if (txnId !== undefined && session.answers.has(txnId)) {
      const revision = session.answers.get(txnId)
      if (revision === undefined) throw new ConcurrentWriteError('The data have changed')
      return { ...session, revision }
    }
    const isCurrent = session.revision === input.revision
    const writes = session.writes + (isCurrent ? 1 : 0)
    if (txnId !== undefined) remember(session.answers, txnId, isCurrent ? String(writes) : undefined)
    if (!isCurrent) throw new ConcurrentWriteError('The data have changed')
    const next: Session = {
      ...session,
      data: input.data,
      contentType: input.contentType ?? session.contentType,
      revision: String(writes),
      changedTs: this.#clock.now(),
      writes,
    }
    this.#sessions.set(id, next)
    return next
  }

  /** Throws `M_NOT_FOUND` for sessions that are over. */
  delete(id: string): void {
    this.read(id)
    this.#sessions.delete(id)
  }

  #forgetOld(): void {
    const now = this.#clock.now()
    for (const [id, { expiresTs }] of this.#sessions) {
      if (expiresTs > now && this.#sessions.size < MAX_SESSIONS) return
      this.#sessions.delete(id)
    }
  }
}

function checkSize(data: string): void {
  if (Buffer.byteLength(data) > MAX_DATA_BYTES) {
    throw tooLarge(`A rendezvous session holds at most ${MAX_DATA_BYTES} bytes`)
  }
}

function remember(
  answers: Map<string, string | undefined>,
  txnId: string,
  revision: string | undefined,
): void {
  if (answers.size >= MAX_TRANSACTIONS) {
    throw new MatrixError('M_LIMIT_EXCEEDED', 'There were too many writes', {
      fields: { retry_after_ms: 60_000 },
    })
  }
  answers.set(txnId, revision)
}
