import type { z } from 'zod'
import type { KeyPath } from './config-error.js'

/** What a section may use beyond its keys. */
export interface SectionContext {
  /** Where the first configuration file lies. */
  readonly configDir: string
  /** As written; whether it is one is the section server's business. */
  readonly serverName: string
  readonly env: Readonly<Record<string, string | undefined>>
  /** Says that the configuration cannot be used. */
  readonly fail: (path: KeyPath, message: string) => void
  /** Says what will not be as the operator may expect it. */
  readonly warn: (path: KeyPath, message: string) => void
}

/** Some top-level keys of the file, and what they mean to the server. */
export interface Section<Keys extends z.ZodRawShape, Result> {
  readonly keys: Keys
  build(raw: z.output<z.ZodObject<Keys>>, context: SectionContext): Result
}

/** Declares a section; `build` translates from Synapse's names and reports what single keys cannot show. */
export function section<const Keys extends z.ZodRawShape, Result>(
  keys: Keys,
  build: (raw: z.output<z.ZodObject<Keys>>, context: SectionContext) => Result,
): Section<Keys, Result> {
  return { keys, build }
}
