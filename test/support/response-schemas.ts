import { Ajv2020 } from 'ajv/dist/2020.js'
import type { ValidateFunction } from 'ajv'
import { AnswerLog } from './answer-log.js'
import { listOperations, specificationIsHere, type OperationEntry, type Schema } from './openapi.js'

export interface CheckedResponse {
  readonly method: string
  /** Without the query. */
  readonly path: string
  readonly status: number
  readonly contentType: string | null
  readonly text: string
}

interface Candidate {
  readonly entry: OperationEntry
  readonly pattern: RegExp
  readonly parameters: number
}

/** Answers of another shape than the specification says, on purpose: operation, status, and why. */
const EXCEPTIONS: ReadonlyMap<string, string> = new Map([
  ['getTurnServer 200', 'empty where there are no relays, which clients expect'],
  ['getJoinedMembersByRoom 200', 'null for what a member has not set, which clients expect'],
  ['getRoomStateWithKey 200', 'one of two shapes, of which each allows what the other is'],
  ['getRoomKeysVersion 200', "the algorithm is the client's business, and that of tests is no real one"],
])

/** What an event that is to be sent later is answered with: a proposal to the specification. */
const DELAYED = /^{"delay_id":"\w+"}$/

/** An answer that has another shape than the specification says. */
export class ResponseSchemaError extends Error {
  override readonly name = 'ResponseSchemaError'
}

/**
 * Checks answers against the schemas that the specification has for them. Says nothing about operations and statuses
 * that it does not know, nor where the specification is not at hand.
 */
export class ResponseSchemas {
  readonly #ajv = new Ajv2020({
    strict: false,
    validateFormats: false,
    unicodeRegExp: false,
    allErrors: false,
  })
  readonly #log = new AnswerLog()
  readonly #candidates: ReadonlyMap<string, readonly Candidate[]>
  readonly #schemas = new Map<string, ReadonlyMap<number, Schema>>()
  readonly #validators = new Map<Schema, ValidateFunction>()

  constructor(entries: readonly OperationEntry[] = specificationIsHere ? listOperations() : []) {
    const byMethod = new Map<string, Candidate[]>()
    for (const entry of entries) {
      const ofMethod = byMethod.get(entry.method) ?? []
      byMethod.set(entry.method, ofMethod)
      const parameters = entry.path.split('{').length - 1
      ofMethod.push({ entry, pattern: patternOf(entry.path), parameters })
    }
    for (const candidates of byMethod.values()) candidates.sort((a, b) => a.parameters - b.parameters)
    this.#candidates = byMethod
  }

  /** Throws a `ResponseSchemaError`. */
  check(response: CheckedResponse): void {
    const { method, path, status, contentType, text } = response
    const entry = this.#candidates.get(method)?.find(({ pattern }) => pattern.test(path))?.entry
    if (entry !== undefined) this.#log.note(entry.operationId, status, text)
    if (entry === undefined || EXCEPTIONS.has(`${entry.operationId} ${status}`)) return
    if (DELAYED.test(text)) return
    const schema = this.#schemasOf(entry).get(status)
    if (schema === undefined) return
    const validate = this.#validators.get(schema) ?? this.#ajv.compile(schema)
    this.#validators.set(schema, validate)
    const name = `${method} ${path}: the answer with ${status} is not what ${entry.operationId} says:`
    if (contentType?.startsWith('application/json') !== true) {
      throw new ResponseSchemaError(`${name} its type is ${contentType ?? 'not given'}`)
    }
    if (validate(JSON.parse(text))) return
    throw new ResponseSchemaError(`${name} ${this.#ajv.errorsText(validate.errors)}\n${text.slice(0, 2000)}`)
  }

  #schemasOf(entry: OperationEntry): ReadonlyMap<number, Schema> {
    const known = this.#schemas.get(entry.operationId)
    if (known !== undefined) return known
    const schemas: ReadonlyMap<number, Schema> = entry.read()?.responses ?? new Map()
    this.#schemas.set(entry.operationId, schemas)
    return schemas
  }
}

function patternOf(path: string): RegExp {
  const literal = path.replace(/[.*+?^$()|[\]\\]/g, String.raw`\$&`)
  return new RegExp(`^${literal.replace(/\{\w+\}/g, '[^/]+')}$`)
}
