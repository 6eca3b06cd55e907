import type { UserId } from '../../protocol/ids.js'
import type { Database, Tx } from '../../storage/database.js'
import type { SessionsStore } from '../../storage/stores/sessions.js'
import type { Clock } from '../../util/clock.js'
import { isJsonObject, type JsonObject } from '../../util/json.js'
import type { DeviceWish } from '../accounts/login.js'

interface Dependencies {
  readonly db: Database
  readonly clock: Clock
  readonly sessions: Pick<SessionsStore, 'get' | 'setRequest' | 'endRegistration'>
}

/** What an account shall be, as far as it need not be said in every request. */
export interface RegistrationWishes {
  readonly username: string | undefined
  /** Instead of the password, which is not kept. */
  readonly passwordHash: string | undefined
  readonly inhibitLogin: boolean
  readonly device: DeviceWish
}

/** A session of user-interactive authentication as a request finds it. */
export interface RegistrationSession {
  readonly wishes: RegistrationWishes
  /** The account that was made in it. */
  readonly registeredAs: UserId | undefined
}

/**
 * How long after its end a session still answers those who ask again: their first answer was lost, or went to another
 * tab.
 */
const REPEAT_MS = 10 * 60 * 1000
/** No device ID has as many characters, so what is cut to them is refused in the end as all of it would have been. */
const MAX_TEXT_LENGTH = 256

const NO_WISHES: RegistrationWishes = {
  username: undefined,
  passwordHash: undefined,
  inhibitLogin: false,
  device: { deviceId: undefined, displayName: undefined, refreshable: false },
}

/**
 * Registrations between their first request and the last: what was said stays known, so that a request with nothing but
 * `auth` can complete them, from another browser tab for example that a link in a mail has opened.
 * https://spec.matrix.org/latest/client-server-api/#user-interactive-api-in-the-rest-api
 */
export class RegistrationSessions {
  readonly #deps: Dependencies

  constructor(deps: Dependencies) {
    this.#deps = deps
  }

  /** The session that `auth` of the request names; without wishes where it names none of the same endpoint. */
  async find(
    auth: unknown,
    { method, path }: { readonly method: string; readonly path: string },
  ): Promise<RegistrationSession> {
    const { db, clock, sessions } = this.#deps
    const sessionId = isJsonObject(auth) ? auth['session'] : undefined
    const session = typeof sessionId === 'string' ? await sessions.get(db.reader, sessionId) : undefined
    if (session?.method !== method || session.path !== path) {
      return { wishes: NO_WISHES, registeredAs: undefined }
    }
    const isRecent = session.createdTs + REPEAT_MS > clock.now()
    return { wishes: readWishes(session.request), registeredAs: isRecent ? session.userId : undefined }
  }

  /** Keeps the wishes for the next request of the session. */
  async remember(sessionId: unknown, wishes: RegistrationWishes): Promise<void> {
    if (typeof sessionId !== 'string') return
    const { db, sessions } = this.#deps
    const request = writeWishes(wishes)
    await db.write('remember_registration', (tx) => sessions.setRequest(tx, sessionId, request))
  }

  /** Ends a session with the account that was made in it. False when it has ended before. */
  async end(tx: Tx, sessionId: string, userId: UserId, wishes: RegistrationWishes): Promise<boolean> {
    const request = writeWishes({ ...wishes, passwordHash: undefined })
    return this.#deps.sessions.endRegistration(tx, sessionId, { userId, request, ts: this.#deps.clock.now() })
  }
}

/** What a request says, and of what it does not say, what the session knows. */
export function mergeWishes(said: RegistrationWishes, known: RegistrationWishes): RegistrationWishes {
  return {
    username: said.username ?? known.username,
    passwordHash: said.passwordHash ?? known.passwordHash,
    inhibitLogin: said.inhibitLogin || known.inhibitLogin,
    device: {
      deviceId: said.device.deviceId ?? known.device.deviceId,
      displayName: said.device.displayName ?? known.device.displayName,
      refreshable: said.device.refreshable || known.device.refreshable,
    },
  }
}

function writeWishes({ username, passwordHash, inhibitLogin, device }: RegistrationWishes): JsonObject {
  const texts = { username, passwordHash, deviceId: device.deviceId, displayName: device.displayName }
  const kept = Object.entries(texts).flatMap(([key, text]) =>
    text === undefined ? [] : [[key, text.slice(0, MAX_TEXT_LENGTH)] as const],
  )
  return { ...Object.fromEntries(kept), inhibitLogin, refreshable: device.refreshable }
}

function readWishes(request: Readonly<JsonObject> | undefined): RegistrationWishes {
  const text = (key: string): string | undefined => {
    const value = request?.[key]
    return typeof value === 'string' ? value : undefined
  }
  return {
    username: text('username'),
    passwordHash: text('passwordHash'),
    inhibitLogin: request?.['inhibitLogin'] === true,
    device: {
      deviceId: text('deviceId'),
      displayName: text('displayName'),
      refreshable: request?.['refreshable'] === true,
    },
  }
}
