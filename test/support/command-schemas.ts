import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ValidateFunction } from 'ajv'
import { Ajv2020 } from 'ajv/dist/2020.js'
import addFormats from 'ajv-formats'
import { packageRoot } from '../../src/util/package-root.js'

const DIRECTORY = join(packageRoot(), 'docs/schemas')
const SUFFIX = '.json'
/** What every command prints with `--json` when it fails. */
export const ERROR_SCHEMA = 'error'

const AJV = addFormats.default(
  new Ajv2020({ allErrors: true, strict: true, strictRequired: true, allowUnionTypes: true }),
)

/** The names of all schemas in docs/schemas, such as `users-list` for `mxhs users list`. */
export function listCommandSchemas(): string[] {
  return readdirSync(DIRECTORY)
    .filter((name) => name.endsWith(SUFFIX))
    .map((name) => name.slice(0, -SUFFIX.length))
    .sort()
}

export function readCommandSchema(name: string): Record<string, unknown> {
  return JSON.parse(readFileSync(join(DIRECTORY, name + SUFFIX), 'utf8')) as Record<string, unknown>
}

/** Throws for what is no schema of draft 2020-12, or says what no schema would (an unknown keyword, a lost comma). */
export function compileCommandSchema(name: string): ValidateFunction {
  return AJV.compile(readCommandSchema(name))
}

/**
 * What a command has printed with `--json`. Throws when it is no JSON, or not of the shape that docs/schemas says.
 * `name`: of the schema, `users-list` for `mxhs users list`; `error` for commands that fail.
 */
export function expectCommandJson(name: string, stdout: string): unknown {
  const value = JSON.parse(stdout) as unknown
  const validate = compileCommandSchema(name)
  if (validate(value)) return value
  const reasons = (validate.errors ?? []).map(
    ({ instancePath, message, params }) =>
      `${instancePath || '/'} ${message ?? ''} ${JSON.stringify(params)}`,
  )
  throw new Error(
    `This is not what docs/schemas/${name}.json says:\n${reasons.join('\n')}\n${stdout.slice(0, 2000)}`,
  )
}
