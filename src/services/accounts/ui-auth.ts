import { createHash } from 'node:crypto'
import { MatrixError, badJson, forbidden, notFound } from '../../protocol/errors.js'
import type { UserId } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { AccessTokensStore } from '../../storage/stores/access-tokens.js'
import type { RegistrationTokensStore } from '../../storage/stores/registration-tokens.js'
import type { SessionsStore, UiAuthSessionRecord } from '../../storage/stores/sessions.js'
import type { Clock } from '../../util/clock.js'
import { isJsonObject, type JsonObject, type JsonValue } from '../../util/json.js'
import { randomToken } from '../../util/random.js'
import { actingFor, type Requester } from './requester.js'
import { REGISTRATION_TOKEN_STAGE, type StageVerdict, type UiAuthStage } from './ui-auth-stages.js'

/** Something that needs more than an access token. */
export interface UiAuthOperation {
  /** Undefined where nobody is logged in. */
  readonly requester: Requester | undefined
  readonly method: string
  /** The path of the request, without the query. */
  readonly path: string
  /** The body of the request, with its `auth`. */
  readonly body: Readonly<JsonObject>
  /** Each a list of stages to complete in order. By default, any stage by which the user can prove who they are. */
  readonly flows?: readonly (readonly string[])[]
  /** The body may change between the stages: for registration, where clients ask for the flows first. */
  readonly mutableBody?: boolean
  /** The session remains when it is complete, for the caller to end it. Otherwise it is good for this one request. */
  readonly keepSession?: boolean
  /** A proof given with the same token a short while ago is enough, where `ui_auth.session_timeout` says so. */
  readonly mayReuse?: boolean
}

/** The operation may go on, or the 401 body to answer. */
export type UiAuthOutcome =
  | {
      readonly complete: true
      readonly sessionId: string | undefined
      readonly completed: Readonly<JsonObject>
    }
  | { readonly complete: false; readonly response: JsonObject }

export interface UiAuthDependencies {
  readonly db: Database
  readonly clock: Clock
  readonly sessions: SessionsStore
  readonly accessTokens: AccessTokensStore
  readonly registrationTokens: RegistrationTokensStore
  readonly stages: readonly UiAuthStage[]
  /** By which stages a user can prove who they are; without it, by the password. */
  readonly listStages?: (userId: UserId) => Promise<readonly string[]>
  /** `ui_auth.session_timeout`. */
  readonly reuseMs: number
}

/** A session as those see it who do a stage elsewhere. */
export interface UiAuthSession {
  readonly userId: UserId | undefined
  /** Of the endpoint that the session is for. */
  readonly path: string
  readonly completed: readonly string[]
}

/** An operation whose flows are known. */
type KnownOperation = UiAuthOperation & Required<Pick<UiAuthOperation, 'flows'>>

/** In the place of what a stage has established: it was done, but by somebody else. */
const DONE_BY_ANOTHER = false

/** How long somebody may take from the first request to the last stage. */
const SESSION_LIFETIME_MS = 24 * 60 * 60 * 1000
/** How many operations a user may have begun and not finished; the oldest are forgotten. */
const MAX_OPEN_SESSIONS = 50

/**
 * User-interactive authentication: sessions in which somebody completes stages. A session belongs to one operation (the
 * endpoint and the body) and one user; nothing proved in it counts for another.
 * https://spec.matrix.org/latest/client-server-api/#user-interactive-authentication-api
 */
export class UiAuth {
  readonly #deps: UiAuthDependencies
  readonly #stages: ReadonlyMap<string, UiAuthStage>

  constructor(deps: UiAuthDependencies) {
    this.#deps = deps
    this.#stages = new Map(deps.stages.map((stage) => [stage.type, stage]))
  }

  /**
   * Takes what the client has submitted into account and says whether the operation may go on. Throws `M_FORBIDDEN`
   * when the session belongs to something else or the password to somebody else, `M_LIMIT_EXCEEDED` after too many
   * wrong passwords.
   */
  async authenticate(request: UiAuthOperation): Promise<UiAuthOutcome> {
    const operation = { ...request, flows: request.flows ?? (await this.#flowsOf(request.requester)) }
    const auth = operation.body['auth']
    if (auth !== undefined && auth !== null && !isJsonObject(auth)) throw badJson('auth must be an object')
    if (!isJsonObject(auth)) {
      if (await this.#isRecentlyProved(operation))
        return { complete: true, sessionId: undefined, completed: {} }
      return this.#challenge(operation, await this.#begin(operation))
    }
    const session = await this.#findSession(operation, auth)
    if (session === undefined) {
      const error = new MatrixError('M_UNKNOWN', 'Unknown session', { status: 401 })
      return this.#challenge(operation, await this.#begin(operation), error)
    }
    return this.#advance(operation, session, auth)
  }

  /**
   * Does a stage of a session apart from the operation that it belongs to, as somebody does in a browser whose client
   * does not know the stage. `auth`: what the stage needs; undefined: only look. Throws `M_NOT_FOUND` where there is no
   * such stage, or no such session that is still open, and what the stage throws.
   * https://spec.matrix.org/latest/client-server-api/#fallback
   */
  async completeApart(
    sessionId: string,
    type: string,
    auth: Readonly<JsonObject> | undefined,
  ): Promise<{ readonly isDone: boolean; readonly params?: JsonObject; readonly error?: MatrixError }> {
    const stage = this.#stages.get(type)
    if (stage === undefined) throw notFound('There is no such stage')
    const session = await this.#deps.sessions.get(this.#deps.db.reader, sessionId)
    if (session === undefined || this.#hasEnded(session)) throw notFound('The session has ended')
    const params = stage.params?.()
    const state = { isDone: Object.hasOwn(session.completed, type), ...(params && { params }) }
    if (state.isDone || auth === undefined) return state
    const requester = session.userId && actingFor({ userId: session.userId, isGuest: false })
    const verdict = await this.#runStage(requester, session, stage, auth)
    return 'error' in verdict ? { ...state, error: verdict.error } : { ...state, isDone: true }
  }

  /** An open session. Throws `M_NOT_FOUND` where there is none. */
  async find(sessionId: string): Promise<UiAuthSession> {
    const session = await this.#deps.sessions.get(this.#deps.db.reader, sessionId)
    if (session === undefined || this.#hasEnded(session)) throw notFound('The session has ended')
    const done = Object.entries(session.completed).filter(([, value]) => value !== DONE_BY_ANOTHER)
    return { userId: session.userId, path: session.path, completed: done.map(([type]) => type) }
  }

  /**
   * Notes a stage of a session as done elsewhere. Not right: by somebody else than the user of the session, in which
   * nothing goes on then until it is. Throws `M_NOT_FOUND` as `find`.
   */
  async completeElsewhere(sessionId: string, type: string, { isRight }: { isRight: boolean }): Promise<void> {
    await this.#deps.db.write('complete_ui_auth_stage_elsewhere', async (tx) => {
      const session = await this.#deps.sessions.get(tx, sessionId)
      if (session === undefined || this.#hasEnded(session)) throw notFound('The session has ended')
      const value = isRight ? (session.userId ?? true) : DONE_BY_ANOTHER
      await this.#deps.sessions.setCompleted(tx, sessionId, { ...session.completed, [type]: value })
    })
  }

  /** Removes sessions that nobody will finish; uses of registration tokens that they held become free. */
  async deleteExpired(): Promise<void> {
    await this.#deps.db.write('delete_ui_auth_sessions', async (tx) => {
      const expired = await this.#deps.sessions.deleteBefore(tx, this.#deps.clock.now() - SESSION_LIFETIME_MS)
      const held = new Map<string, number>()
      for (const completed of expired) {
        const token = completed[REGISTRATION_TOKEN_STAGE]
        if (typeof token === 'string') held.set(token, (held.get(token) ?? 0) + 1)
      }
      await this.#deps.registrationTokens.release(tx, held)
    })
  }

  /** Any one stage is enough. */
  async #flowsOf(requester: Requester | undefined): Promise<readonly (readonly string[])[]> {
    const stages = requester && (await this.#deps.listStages?.(requester.userId))
    return (stages ?? ['m.login.password']).map((stage) => [stage])
  }

  async #advance(
    operation: KnownOperation,
    session: UiAuthSessionRecord,
    auth: Readonly<JsonObject>,
  ): Promise<UiAuthOutcome> {
    const type = auth['type']
    let current = session
    // Without a type the client asks whether something it did elsewhere has been noticed.
    if (typeof type === 'string' && !Object.hasOwn(session.completed, type)) {
      const stage = this.#stages.get(type)
      if (stage === undefined || !nextStages(operation.flows, session.completed).has(type)) {
        return this.#challenge(operation, session, forbidden('This stage is not the next one of any flow'))
      }
      const verdict = await this.#runStage(operation.requester, session, stage, auth)
      if ('error' in verdict) return this.#challenge(operation, session, verdict.error)
      current = verdict.session
    }
    if (!isComplete(operation.flows, current.completed)) return this.#challenge(operation, current)
    await this.#finish(operation, current)
    return { complete: true, sessionId: current.sessionId, completed: current.completed }
  }

  async #runStage(
    requester: Requester | undefined,
    session: UiAuthSessionRecord,
    stage: UiAuthStage,
    auth: Readonly<JsonObject>,
  ): Promise<{ session: UiAuthSessionRecord } | { error: MatrixError }> {
    const input = { auth, requester }
    const verified = await stage.verify?.(input)
    if (verified?.passed === false) return { error: verified.error }
    return this.#deps.db.write('complete_ui_auth_stage', async (tx) => {
      const current = await this.#deps.sessions.get(tx, session.sessionId)
      if (current === undefined) return { error: forbidden('The session has ended') }
      if (Object.hasOwn(current.completed, stage.type)) return { session: current }
      const committed: StageVerdict | undefined = await stage.commit?.(tx, input)
      if (committed?.passed === false) return { error: committed.error }
      const value: JsonValue = (committed ?? verified)?.value ?? true
      const completed = { ...current.completed, [stage.type]: value }
      await this.#deps.sessions.setCompleted(tx, session.sessionId, completed)
      return { session: { ...current, completed } }
    })
  }

  /** A session is good for one request: of two that come with it at once, one goes on. */
  async #finish(operation: UiAuthOperation, session: UiAuthSessionRecord): Promise<void> {
    if (operation.keepSession) return
    const tokenId = operation.requester?.tokenId
    await this.#deps.db.write('finish_ui_auth_session', async (tx) => {
      if (!(await this.#deps.sessions.delete(tx, session.sessionId))) throw forbidden('The session has ended')
      if (this.#deps.reuseMs > 0 && tokenId !== undefined) {
        await this.#deps.accessTokens.setValidated(tx, tokenId, this.#deps.clock.now())
      }
    })
  }

  /** The session that the client names, or a new one where it names none; undefined when it is not known. */
  async #findSession(
    operation: UiAuthOperation,
    auth: Readonly<JsonObject>,
  ): Promise<UiAuthSessionRecord | undefined> {
    const sessionId = auth['session']
    if (sessionId === undefined || sessionId === null) return this.#begin(operation)
    if (typeof sessionId !== 'string') throw badJson('auth.session must be a string')
    const session = await this.#deps.sessions.get(this.#deps.db.reader, sessionId)
    if (session === undefined) return undefined
    if (this.#isTooOld(session)) return undefined
    const isSame =
      session.userId === operation.requester?.userId &&
      session.method === operation.method &&
      session.path === operation.path &&
      session.bodyHash === hashBody(operation)
    if (!isSame) throw forbidden('The session was begun for another operation')
    if (Object.values(session.completed).includes(DONE_BY_ANOTHER)) {
      throw forbidden('Somebody else has signed on in this session')
    }
    return session
  }

  #isTooOld({ createdTs }: UiAuthSessionRecord): boolean {
    return createdTs + SESSION_LIFETIME_MS <= this.#deps.clock.now()
  }

  /** The session of an account that has been made remembers only that. */
  #hasEnded(session: UiAuthSessionRecord): boolean {
    const hasMadeAccount = session.userId !== undefined && session.request !== undefined
    return hasMadeAccount || this.#isTooOld(session)
  }

  async #begin(operation: UiAuthOperation): Promise<UiAuthSessionRecord> {
    const session: UiAuthSessionRecord = {
      sessionId: randomToken(),
      userId: operation.requester?.userId,
      method: operation.method,
      path: operation.path,
      bodyHash: hashBody(operation),
      completed: {},
      request: undefined,
      createdTs: this.#deps.clock.now(),
    }
    await this.#deps.db.write('begin_ui_auth_session', async (tx) => {
      if (session.userId !== undefined) {
        await this.#deps.sessions.deleteOldest(tx, session.userId, MAX_OPEN_SESSIONS - 1)
      }
      await this.#deps.sessions.insert(tx, session)
    })
    return session
  }

  async #isRecentlyProved(operation: UiAuthOperation): Promise<boolean> {
    const tokenId = operation.requester?.tokenId
    if (!operation.mayReuse || this.#deps.reuseMs <= 0 || tokenId === undefined) return false
    const validatedTs = await this.#deps.accessTokens.getValidatedTs(this.#deps.db.reader, tokenId)
    return validatedTs !== undefined && validatedTs + this.#deps.reuseMs > this.#deps.clock.now()
  }

  #challenge(
    operation: KnownOperation,
    session: UiAuthSessionRecord,
    error?: MatrixError,
  ): { complete: false; response: JsonObject } {
    const completed = Object.keys(session.completed)
    const params: JsonObject = {}
    for (const type of new Set(operation.flows.flat())) {
      const stageParams = this.#stages.get(type)?.params?.()
      if (stageParams !== undefined) params[type] = stageParams
    }
    return {
      complete: false,
      response: {
        session: session.sessionId,
        flows: operation.flows.map((stages) => ({ stages: [...stages] })),
        params,
        completed,
        ...(error === undefined ? {} : { errcode: error.errcode, error: error.message }),
      },
    }
  }
}

/** The stages that may come next: of each flow, the first that is not complete. */
function nextStages(
  flows: readonly (readonly string[])[],
  completed: Readonly<JsonObject>,
): ReadonlySet<string> {
  const next = new Set<string>()
  for (const stages of flows) {
    const stage = stages.find((type) => !Object.hasOwn(completed, type))
    if (stage !== undefined) next.add(stage)
  }
  return next
}

function isComplete(flows: readonly (readonly string[])[], completed: Readonly<JsonObject>): boolean {
  return flows.some((stages) => stages.every((type) => Object.hasOwn(completed, type)))
}

/** Of what the client asks for, whatever the order of its keys. */
function hashBody(operation: UiAuthOperation): string | undefined {
  if (operation.mutableBody) return undefined
  const body = { ...operation.body }
  delete body['auth']
  try {
    return createHash('sha256').update(JSON.stringify(body, sortKeys)).digest('hex')
  } catch (error) {
    if (error instanceof RangeError) throw badJson('The body is nested too deeply')
    throw error
  }
}

function sortKeys(_key: string, value: unknown): unknown {
  if (!isJsonObject(value)) return value
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
}
