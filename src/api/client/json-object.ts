import { z } from 'zod'
import type { JsonObject } from '../../util/json.js'

/** Any JSON object, kept whole. Bodies come from `JSON.parse`, so what is in it is JSON. */
export const jsonObject = z.looseObject({}) as unknown as z.ZodType<JsonObject>

/** As `jsonObject`, or nothing. */
export const optionalJsonObject = jsonObject.nullish().transform((value) => value ?? undefined)

/** Clients send `null` for what they leave out. */
export const optionalString = z
  .string()
  .nullish()
  .transform((value) => value ?? undefined)

export const optionalBoolean = z
  .boolean()
  .nullish()
  .transform((value) => value ?? undefined)
