import { z } from 'zod'

/** Whom the service speaks of. Any text: what can be no name is nobody's. */
export const localpart = z.string()
export const localpartBody = z.looseObject({ localpart })
