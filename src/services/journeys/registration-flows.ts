import {
  CAPTCHA_STAGE,
  EMAIL_STAGE,
  REGISTRATION_TOKEN_STAGE,
  TERMS_STAGE,
  type RegistrationTerms,
} from '../accounts/ui-auth-stages.js'

/** What people have to prove who register. */
export interface DemandedProofs {
  /** `enable_registration_captcha`: a puzzle has to be solved. */
  readonly requiresCaptcha: boolean
  /** `registration_requires_token`. */
  readonly requiresToken: boolean
  /** `registrations_require_3pid`: an e-mail address has to be proven. */
  readonly requiresEmail: boolean
  /** `user_consent.require_at_registration`: what people have to agree to. */
  readonly terms?: RegistrationTerms | undefined
  /** The server sends mail: people may prove an address. */
  readonly offersEmail: boolean
}

/** Lists of stages: one of them has to be done, in order. Who has proven all else is asked to agree to the terms. */
export function registrationFlows(options: DemandedProofs): string[][] {
  const last = options.terms === undefined ? [] : [TERMS_STAGE]
  return proofs(options).map((stages) => [...stages, ...last])
}

/** Where an address may be proven but need not, both ways are offered. */
function proofs({ requiresCaptcha, requiresToken, requiresEmail, offersEmail }: DemandedProofs): string[][] {
  const first = [
    ...(requiresCaptcha ? [CAPTCHA_STAGE] : []),
    ...(requiresToken ? [REGISTRATION_TOKEN_STAGE] : []),
  ]
  if (requiresEmail) return [[...first, EMAIL_STAGE]]
  if (!offersEmail) return [first.length > 0 ? first : ['m.login.dummy']]
  return [
    [...first, 'm.login.dummy'],
    [...first, EMAIL_STAGE],
  ]
}
