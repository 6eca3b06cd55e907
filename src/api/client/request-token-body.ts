import { z } from 'zod'
import { MatrixError } from '../../protocol/errors.js'

const clientSecret = z
  .string()
  .regex(/^[0-9a-zA-Z.=_-]{1,255}$/, 'must be 1 to 255 characters of 0-9 a-z A-Z . = _ -')
const shared = { client_secret: clientSecret, send_attempt: z.int() }

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

/** This server sends neither mail nor text messages. */
export const threepidsDenied = (): MatrixError =>
  new MatrixError('M_THREEPID_DENIED', 'Third-party identifiers cannot be confirmed at this server')
