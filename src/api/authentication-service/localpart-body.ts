import { z } from 'zod'

/** Whom the service speaks of. */
export const localpart = z.string().min(1).max(255)
export const localpartBody = z.looseObject({ localpart })
