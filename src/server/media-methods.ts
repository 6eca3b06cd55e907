import { z } from 'zod'
import { parseRoomId, parseUserId, type RoomId, type UserId } from '../protocol/ids.js'
import { formatMxcUri, parseMxcUri } from '../protocol/mxc-uri.js'
import type { MediaChoice } from '../services/media/media-deletion.js'
import type { Services } from '../services/services.js'
import type { MediaId } from '../storage/stores/media.js'
import type { JsonObject } from '../util/json.js'
import { ControlError } from './control-connection.js'
import type { ControlMethods } from './control-socket.js'

/** So many URIs are told of; how many there are in all is told with them. */
const MAX_TOLD = 1000
/** Who has put files into quarantine, where it was a command. */
const OPERATOR = 'operator'

const mediaId = z.string().transform((text, context): MediaId => {
  const id = parseMxcUri(text)
  if (id !== undefined) return id
  context.addIssue({ code: 'custom', message: 'no URI' })
  return z.NEVER
})
const userId = z.custom<UserId>((value) => typeof value === 'string' && parseUserId(value) !== undefined)
const roomId = z.custom<RoomId>((value) => typeof value === 'string' && parseRoomId(value) !== undefined)

const choices = [
  z.object({ kind: z.literal('ids'), ids: z.array(mediaId).max(10_000) }),
  z.object({ kind: z.literal('user'), userId }),
  z.object({ kind: z.literal('room'), roomId }),
] as const

const old = z.object({
  origin: z.enum(['local', 'remote']),
  accessedBefore: z.int(),
  largerThan: z.int().nonnegative().optional(),
  sparesLasting: z.boolean(),
})

const deletion = z.object({
  choice: z.discriminatedUnion('kind', [
    ...choices,
    z.object({ kind: z.literal('old'), old }),
    z.object({ kind: z.literal('redacted') }),
    z.object({ kind: z.literal('erased') }),
  ]),
  dryRun: z.boolean(),
})

const quarantine = z.object({ choice: z.discriminatedUnion('kind', choices), isQuarantined: z.boolean() })

/** What commands do with files. Each throws a `ControlError` for parameters that it cannot be called with. */
export function createMediaMethods(services: Pick<Services, 'mediaDeletion' | 'mediaQuarantine'>) {
  const { mediaDeletion, mediaQuarantine } = services
  return {
    /** `{choice: MediaChoice, dryRun}`, files by their URIs; gives `{total, files}`, the first of their URIs. */
    'media.delete': async (params: JsonObject): Promise<JsonObject> => {
      const { choice, dryRun } = parse(deletion, params)
      const ids = await mediaDeletion.choose(choice satisfies MediaChoice)
      if (!dryRun) await mediaDeletion.delete(ids)
      return { total: ids.length, files: ids.slice(0, MAX_TOLD).map(formatMxcUri) }
    },

    /** `{choice, isQuarantined}`; gives `{total, changed}`: how many files that means, and how many have changed. */
    'media.quarantine': async (params: JsonObject): Promise<JsonObject> => {
      const { choice, isQuarantined } = parse(quarantine, params)
      const ids = await mediaDeletion.choose(choice)
      const changed = await (isQuarantined
        ? mediaQuarantine.quarantine(ids, OPERATOR)
        : mediaQuarantine.release(ids))
      return { total: ids.length, changed }
    },
  } satisfies ControlMethods
}

function parse<T>(schema: z.ZodType<T>, params: JsonObject): T {
  const parsed = schema.safeParse(params)
  if (parsed.success) return parsed.data
  const path = parsed.error.issues[0]?.path.join('.') ?? ''
  throw new ControlError('bad_request', `${path} is missing or cannot be used`)
}
