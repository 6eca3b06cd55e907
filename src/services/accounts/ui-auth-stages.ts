import { MatrixError, forbidden, type Errcode } from '../../protocol/errors.js'
import type { Tx } from '../../storage/database.js'
import type { RegistrationTokensStore } from '../../storage/stores/registration-tokens.js'
import type { Clock } from '../../util/clock.js'
import { isJsonObject, type JsonObject, type JsonValue } from '../../util/json.js'
import type { EmailValidations } from './email-validations.js'
import type { Login } from './login.js'
import type { Requester } from './requester.js'
import { parseUserIdentifier, type UserIdentifier } from './user-identifier.js'

/** What a client submits for a stage. */
export interface StageInput {
  readonly auth: Readonly<JsonObject>
  /** Who performs the operation; undefined where nobody is logged in. */
  readonly requester: Requester | undefined
}

/** A stage is done, with what it has established; or it is not, and the client may try again. */
export type StageVerdict =
  | { readonly passed: true; readonly value: JsonValue }
  | { readonly passed: false; readonly error: MatrixError }

/** One way of proving something. https://spec.matrix.org/latest/client-server-api/#authentication-types */
export interface UiAuthStage {
  readonly type: string
  /** What clients have to know to do it, if anything. */
  params?(): JsonObject | undefined
  /** The slow part, outside of any transaction. */
  verify?(input: StageInput): Promise<StageVerdict>
  /** What must happen together with noting the stage as done; runs after `verify`. */
  commit?(tx: Tx, input: StageInput): Promise<StageVerdict>
}

/** `m.login.dummy`: nothing to prove. */
export const dummyStage: UiAuthStage = { type: 'm.login.dummy' }

/**
 * `m.login.password`: the password of the user who performs the operation. Another user's, though right, ends the
 * attempt with `M_FORBIDDEN`.
 */
export function passwordStage(login: Pick<Login, 'identify'>): UiAuthStage {
  return {
    type: 'm.login.password',
    async verify({ auth, requester }) {
      const password = auth['password']
      if (requester === undefined || typeof password !== 'string') return refuse('Missing password')
      const userId = await login.identify(identifierOf(auth), password)
      if (userId === undefined) return refuse('Invalid password')
      // No further attempt is offered: whoever has somebody else's password is in the wrong account.
      if (userId !== requester.userId) throw forbidden('This is the password of another user')
      return { passed: true, value: userId }
    },
  }
}

/** A stage by the name of a type of login: what logs in confirms, too, who somebody is. */
export function credentialStage(type: string, login: Pick<Login, 'identifyBy'>): UiAuthStage {
  return {
    type,
    async verify({ auth, requester }) {
      const secret = auth['token']
      if (requester === undefined || typeof secret !== 'string') return refuse('Missing token')
      const userId = await login.identifyBy(type, { identifier: identifierOf(auth), secret })
      if (userId === undefined || userId !== requester.userId) return refuse('Invalid token')
      return { passed: true, value: userId }
    },
  }
}

/** `m.login.registration_token`: a token that lets people register; one of its uses is held for the session. */
export function registrationTokenStage(tokens: RegistrationTokensStore, clock: Clock): UiAuthStage {
  return {
    type: REGISTRATION_TOKEN_STAGE,
    async commit(tx, { auth }) {
      const token = auth['token']
      if (typeof token !== 'string') return refuse('Missing registration token')
      const reserved = await tokens.reserve(tx, token, clock.now())
      return reserved
        ? { passed: true, value: token }
        : refuse('Invalid registration token', 'M_UNAUTHORIZED')
    },
  }
}

/** `m.login.email.identity`: an e-mail address that has been proven to be theirs; the proof is good once. */
export function emailIdentityStage(validations: Pick<EmailValidations, 'consume'>): UiAuthStage {
  return {
    type: EMAIL_STAGE,
    async commit(tx, { auth }) {
      // As clients wrote it before it was specified.
      const creds = isJsonObject(auth['threepid_creds']) ? auth['threepid_creds'] : auth['threepidCreds']
      const { sid, client_secret: clientSecret } = isJsonObject(creds) ? creds : {}
      if (typeof sid !== 'string' || typeof clientSecret !== 'string') return refuse('Missing threepid_creds')
      const proof = await validations.consume(tx, { sid, clientSecret }, ['register', 'reset'])
      return proof === undefined
        ? refuse('The e-mail address has not been confirmed yet', 'M_UNAUTHORIZED')
        : { passed: true, value: { ...proof } }
    },
  }
}

/** Judges the answers of those who were given a puzzle. */
export interface CaptchaCheck {
  /** Whether the answer was right; each is good once. Rejects where that cannot be found out. */
  isSolved(answer: string): Promise<boolean>
}

/**
 * `m.login.recaptcha`: a puzzle of reCAPTCHA with this public key. Where nobody can say whether it was solved, it was not.
 * https://spec.matrix.org/latest/client-server-api/#google-recaptcha
 */
export function captchaStage(publicKey: string, check: CaptchaCheck): UiAuthStage {
  return {
    type: CAPTCHA_STAGE,
    params: () => ({ public_key: publicKey }),
    async verify({ auth }) {
      const answer = auth['response']
      if (typeof answer !== 'string' || answer === '') {
        return refuse('The puzzle has to be solved', 'M_CAPTCHA_NEEDED')
      }
      if (answer.length > MAX_CAPTCHA_ANSWER) return refuse('The answer is too long', 'M_CAPTCHA_INVALID')
      try {
        if (await check.isSolved(answer)) return { passed: true, value: true }
      } catch {
        return refuse('The service that judges the answer cannot be asked', 'M_CAPTCHA_INVALID')
      }
      return refuse('The puzzle was not solved', 'M_CAPTCHA_INVALID')
    },
  }
}

/**
 * `m.login.sso`: done in a browser, at a service where people sign on. Clients cannot submit it.
 * https://spec.matrix.org/latest/client-server-api/#single-sign-on
 */
export const signOnStage: UiAuthStage = {
  type: 'm.login.sso',
  verify: () => Promise.resolve(refuse('This has to be done in a browser')),
}

/** What somebody has to agree to who registers. */
export interface RegistrationTerms {
  readonly version: string
  /** For people, in English. */
  readonly name: string
  readonly url: string
}

/**
 * `m.login.terms`: whoever submits it has read the policy and agrees. What is noted is the version.
 * https://spec.matrix.org/latest/client-server-api/#terms-of-service-at-registration
 */
export function termsStage({ version, name, url }: RegistrationTerms): UiAuthStage {
  return {
    type: TERMS_STAGE,
    params: () => ({ policies: { privacy_policy: { version, en: { name, url } } } }),
    verify: () => Promise.resolve({ passed: true, value: version }),
  }
}

export const CAPTCHA_STAGE = 'm.login.recaptcha'
export const SIGN_ON_STAGE = 'm.login.sso'
export const EMAIL_STAGE = 'm.login.email.identity'
export const REGISTRATION_TOKEN_STAGE = 'm.login.registration_token'
export const TERMS_STAGE = 'm.login.terms'

/** Those of reCAPTCHA have about 2,000 characters. */
const MAX_CAPTCHA_ANSWER = 16_384

function identifierOf(auth: Readonly<JsonObject>): UserIdentifier {
  return parseUserIdentifier({
    identifier: isJsonObject(auth['identifier']) ? auth['identifier'] : undefined,
    user: stringOrUndefined(auth['user']),
    medium: stringOrUndefined(auth['medium']),
    address: stringOrUndefined(auth['address']),
  })
}

function refuse(message: string, errcode: Errcode = 'M_FORBIDDEN'): StageVerdict {
  return { passed: false, error: new MatrixError(errcode, message) }
}

function stringOrUndefined(value: JsonValue | undefined): string | undefined {
  return typeof value === 'string' ? value : undefined
}
