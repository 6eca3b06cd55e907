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
  ['getDevices 200', 'null for devices without a name, which clients expect'],
  ['getDevice 200', 'null for devices without a name, which clients expect'],
  ['getEvents 200', 'with what is no event of a room and has no ID, as clients of the first versions expect'],
  ['getRoomStateWithKey 200', 'one of two shapes, of which each allows what the other is'],
  ['getRoomKeysVersion 200', "the algorithm is the client's business, and that of tests is no real one"],
])

/** What an event that is to be sent later is answered with: a proposal to the specification. */
const DELAYED = /^{"delay_id":"\w+"}$/

/** What any endpoint says of a token, whatever else it has 401 for. */
const TOKEN_ERROR = /^{(?=.*"errcode":"M_(?:MISSING|UNKNOWN)_TOKEN")(?=.*"error":")/

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
  readonly #log: AnswerLog | undefined
  readonly #candidates: ReadonlyMap<string, readonly Candidate[]>
  readonly #schemas = new Map<string, ReadonlyMap<number, Schema>>()
  readonly #validators = new Map<Schema, ValidateFunction>()

  constructor(entries: readonly OperationEntry[], log?: AnswerLog) {
    this.#log = log
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
    if (entry === undefined) return
    for (const { operationId } of this.#twinsOf(method, entry)) this.#log?.note(operationId, status, text)
    if (isExcepted(entry, response)) return
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

  /** Operations at one place, which are told apart by their bodies. */
  #twinsOf(method: string, { path }: OperationEntry): OperationEntry[] {
    const candidates = this.#candidates.get(method) ?? []
    return candidates.map(({ entry }) => entry).filter((entry) => entry.path === path)
  }

  #schemasOf(entry: OperationEntry): ReadonlyMap<number, Schema> {
    const known = this.#schemas.get(entry.operationId)
    if (known !== undefined) return known
    const schemas: ReadonlyMap<number, Schema> = entry.read()?.responses ?? new Map()
    this.#schemas.set(entry.operationId, schemas)
    return schemas
  }
}

/** Whether an answer may have another shape than the specification says. */
function isExcepted({ operationId }: OperationEntry, { status, text }: CheckedResponse): boolean {
  if (EXCEPTIONS.has(`${operationId} ${status}`) || DELAYED.test(text)) return true
  return status === 401 && TOKEN_ERROR.test(text)
}

/** Read once for all tests of a process. */
const clientServer = new ResponseSchemas(specificationIsHere ? listOperations() : [], new AnswerLog())
const serverServer = new ResponseSchemas(specificationIsHere ? listOperations('server-server') : [])

/** Holds an answer of the client-server API against its schema. Throws a `ResponseSchemaError`. */
export function checkResponse(response: CheckedResponse): void {
  clientServer.check(response)
}

/** The same for the server-server API. */
export function checkFederationResponse(response: CheckedResponse): void {
  serverServer.check(response)
}

function patternOf(path: string): RegExp {
  const literal = path.replace(/[.*+?^$()|[\]\\]/g, String.raw`\$&`)
  // An empty state key may be left out, with the slash before it or without.
  const optional = literal.replace(/\/\{stateKey\}$/, '(?:/[^/]*)?')
  return new RegExp(`^${optional.replace(/\{\w+\}/g, '[^/]+')}$`)
}
