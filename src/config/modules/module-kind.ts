import { z } from 'zod'
import { isJsonObject } from '../../util/json.js'
import { nearestOf } from '../../util/edit-distance.js'
import type { KeyPath } from '../config-error.js'

/** What a module may say of its settings; paths begin at them. */
export interface ModuleContext {
  /** Says that the configuration cannot be used. */
  readonly fail: (path: KeyPath, message: string) => void
  /** Says what will not be as the operator may expect it. */
  readonly warn: (path: KeyPath, message: string) => void
}

/** A module of Synapse's of which this server has an equivalent. */
export interface ModuleKind<Settings> {
  /** The names of its class, as the configuration writes them. */
  readonly classes: readonly string[]
  /** Its settings of which each leads to a file that has the value of another one: `[key of the file, key]`. */
  readonly files: readonly (readonly [string, string])[]
  /** Undefined where `fail` has been called, or where the module does nothing. */
  read(config: unknown, context: ModuleContext): Settings | undefined
}

interface ModuleDescription<Shape extends z.ZodRawShape, Settings> {
  readonly classes: readonly string[]
  readonly files?: readonly (readonly [string, string])[]
  readonly keys: Shape
  /** Keys inside of those that are maps, by their path with points. */
  readonly inner?: Readonly<Record<string, readonly string[]>>
  readonly build: (raw: z.output<z.ZodObject<Shape>>, context: ModuleContext) => Settings | undefined
}

/** Declares a module. Keys that it does not have are mistakes: what they were meant to say would not be heard. */
export function moduleKind<const Shape extends z.ZodRawShape, Settings>(
  description: ModuleDescription<Shape, Settings>,
): ModuleKind<Settings> {
  const { classes, files = [], keys, inner = {}, build } = description
  const schema = z.object(keys, { error: 'a map' })
  const known = new Map([
    ['', [...Object.keys(keys), ...files.map(([file]) => file)]],
    ...Object.entries(inner),
  ])
  return {
    classes,
    files,
    read(config, context) {
      const given = config ?? {}
      for (const [place, names] of known) checkNames(given, { place, names }, context)
      const parsed = schema.safeParse(given, { jitless: true })
      for (const { path, message } of parsed.error?.issues ?? []) {
        context.fail(path as KeyPath, `expected ${message}`)
      }
      return parsed.success ? build(parsed.data, context) : undefined
    },
  }
}

function checkNames(
  config: unknown,
  { place, names }: { place: string; names: readonly string[] },
  { fail }: ModuleContext,
): void {
  const path = place === '' ? [] : place.split('.')
  const map = path.reduce<unknown>((at, key) => (isJsonObject(at) ? at[key] : undefined), config)
  if (!isJsonObject(map)) return
  for (const key of Object.keys(map)) {
    if (names.includes(key)) continue
    const nearest = nearestOf(key, names)
    fail([...path, key], nearest === undefined ? 'unknown key' : `unknown key; did you mean ${nearest}?`)
  }
}
