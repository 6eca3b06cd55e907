import { z } from 'zod'

/**
 * For how long an event is to wait, in milliseconds.
 * https://github.com/matrix-org/matrix-spec-proposals/pull/4140
 */
export const delayQuery = { 'org.matrix.msc4140.delay': z.coerce.number().int().optional() }
