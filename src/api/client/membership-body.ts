import { z } from 'zod'
import { optionalString } from './json-object.js'

/** Who somebody acts upon, and why. */
export const targetBody = z.looseObject({ user_id: z.string(), reason: optionalString })

/** Why somebody does something. */
export const reasonBody = z.looseObject({ reason: optionalString })
