import { z } from 'zod'

/**
 * For how long everybody in the room is to be told of an event, in milliseconds.
 * https://github.com/matrix-org/matrix-spec-proposals/pull/4354
 */
export const stickyQuery = { 'org.matrix.msc4354.sticky_duration_ms': z.coerce.number().int().optional() }
