import { z } from 'zod'
import { MatrixError } from '../../protocol/errors.js'
import type { TokenRequest } from '../../services/accounts/email-validations.js'
import { optionalString } from './json-object.js'

const clientSecret = z
  .string()
  .regex(/^[0-9a-zA-Z.=_-]{1,255}$/, 'must be 1 to 255 characters of 0-9 a-z A-Z . = _ -')
const shared = { client_secret: clientSecret, send_attempt: z.int(), next_link: optionalString }

/** Whoever asks for a proof that an e-mail address is theirs. */
export const emailTokenBody = z.looseObject({
  ...shared,
  email: z.string().regex(/^[^\s@]+@[^\s@]+$/, 'is not an e-mail address'),
})

/** Whoever asks for a proof that a telephone number is theirs. */
export const msisdnTokenBody = z.looseObject({
  ...shared,
  country: z.string().regex(/^[A-Za-z]{2}$/, 'is not a country'),
  phone_number: z.string(),
})

/** What a body asks for. */
export function tokenRequestOf(body: z.output<typeof emailTokenBody>): TokenRequest {
  return {
    email: body.email,
    clientSecret: body.client_secret,
    sendAttempt: body.send_attempt,
    nextLink: body.next_link,
  }
}

/** This server sends no text messages. */
export const threepidsDenied = (): MatrixError =>
  new MatrixError('M_THREEPID_DENIED', 'Telephone numbers cannot be confirmed at this server')
