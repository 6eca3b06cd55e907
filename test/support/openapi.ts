import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { parse } from 'yaml'

/** The specification's OpenAPI documents: beside the project, unless the environment says where. */
const SPECIFICATION = process.env['MATRIX_SPEC_DIR'] ?? resolve(import.meta.dirname, '../../../shared/spec')
const CLIENT_SERVER = join(SPECIFICATION, 'client-server')

/** A part of the specification that has OpenAPI documents. */
export type SpecifiedApi = 'client-server' | 'server-server'

/** The part of a JSON schema that says what a value may look like. */
export interface Schema {
  readonly type?: string | readonly string[]
  readonly properties?: Readonly<Record<string, Schema>>
  readonly required?: readonly string[]
  readonly items?: Schema
  readonly enum?: readonly unknown[]
  readonly additionalProperties?: Schema | boolean
  readonly allOf?: readonly Schema[]
  readonly oneOf?: readonly Schema[]
  readonly anyOf?: readonly Schema[]
  readonly format?: string
  readonly example?: unknown
}

/** One operation of an API. */
export interface Operation {
  readonly operationId: string
  readonly method: string
  /** Whole, with `{names}` for parameters. */
  readonly path: string
  /** Of a JSON request body; undefined where there is none. */
  readonly body: Schema | undefined
  readonly needsToken: boolean
  /** Of JSON answers, by status. */
  readonly responses: ReadonlyMap<number, Schema>
}

export const specificationIsHere = existsSync(CLIENT_SERVER)

/** Every operation of the client-server API, with references within its schemas resolved. */
export function readOperations(): Operation[] {
  const files = readdirSync(CLIENT_SERVER).filter((name) => name.endsWith('.yaml'))
  return files.flatMap((name) => operationsOf(join(CLIENT_SERVER, name)))
}

/** Which operation is in which file: reading all files takes a while. */
export interface OperationEntry {
  readonly operationId: string
  readonly method: string
  /** With `{names}` for parameters. */
  readonly path: string
  readonly read: () => Operation | undefined
}

/** Of the client-server API unless another is named. */
export function listOperations(wanted: SpecifiedApi = 'client-server'): OperationEntry[] {
  const entries = JSON.parse(readFileSync(join(SPECIFICATION, 'endpoints.json'), 'utf8')) as IndexEntry[]
  return entries
    .filter(({ api }) => api === wanted)
    .map(({ file, method, path, operation }) => ({
      operationId: operation,
      method,
      path,
      read: () =>
        operationsOf(join(SPECIFICATION, wanted, `${file}.yaml`)).find(
          ({ operationId }) => operationId === operation,
        ),
    }))
}

/** An answer that the specification lists for an operation. */
export interface ListedAnswer {
  readonly operationId: string
  readonly status: number
  /** Of errors; undefined where none is named. */
  readonly errcode: string | undefined
}

/**
 * Every answer that is listed for an operation of the client-server API; of errors one for each errcode that the text or an
 * example names.
 */
export function listAnswers(): ListedAnswer[] {
  const files = readdirSync(CLIENT_SERVER).filter((name) => name.endsWith('.yaml'))
  return files.flatMap((name) => {
    const file = join(CLIENT_SERVER, name)
    const document = readYaml(file)
    const paths = Object.values((document['paths'] ?? {}) as Record<string, Node>)
    return paths
      .flatMap((methods) => Object.values(methods))
      .flatMap((operation) => answersOf(operation, { file, document, depth: -DEEPER }))
  })
}

function answersOf(operation: unknown, place: Place): ListedAnswer[] {
  if (!isNode(operation) || typeof operation['operationId'] !== 'string') return []
  const { operationId } = operation
  const responses = resolved(operation['responses'] ?? {}, place) as Node
  return Object.entries(responses).flatMap(([name, response]): ListedAnswer[] => {
    const status = Number(name)
    if (!(status >= 400)) return [{ operationId, status, errcode: undefined }]
    const errcodes = new Set<string>(JSON.stringify(response).match(/\bM_[A-Z_]+\b/g))
    // The example of what any error looks like.
    errcodes.delete('M_UNKNOWN')
    if (errcodes.size === 0) return [{ operationId, status, errcode: undefined }]
    return [...errcodes].map((errcode) => ({ operationId, status, errcode }))
  })
}

interface IndexEntry {
  readonly api: string
  readonly file: string
  readonly method: string
  readonly path: string
  readonly operation: string
}

type Node = Record<string, unknown>

function operationsOf(file: string): Operation[] {
  const document = readYaml(file)
  const server = (document['servers'] as Node[] | undefined)?.[0]
  const basePath = ((server?.['variables'] as Node | undefined)?.['basePath'] as Node | undefined)?.[
    'default'
  ]
  const operations: Operation[] = []
  for (const [path, methods] of Object.entries((document['paths'] ?? {}) as Record<string, Node>)) {
    for (const [method, operation] of Object.entries(methods)) {
      if (!isNode(operation) || typeof operation['operationId'] !== 'string') continue
      operations.push({
        operationId: operation['operationId'],
        method: method.toUpperCase(),
        path: `${typeof basePath === 'string' ? basePath : ''}${path.trim()}`,
        body: bodyOf(operation, { file, document, depth: 0 }),
        needsToken: Array.isArray(operation['security']) && operation['security'].length === 1,
        responses: responsesOf(operation, { file, document, depth: 0 }),
      })
    }
  }
  return operations
}

interface Place {
  readonly file: string
  readonly document: Node
  readonly depth: number
}

function bodyOf(operation: Node, place: Place): Schema | undefined {
  const body = operation['requestBody']
  if (!isNode(body) || !isNode(body['content'])) return undefined
  const json = body['content']['application/json']
  if (!isNode(json)) return undefined
  return isNode(json['schema']) ? (resolved(json['schema'], place) as Schema) : {}
}

/** Answers are nested deeper than bodies. */
const DEEPER = 24

function responsesOf(operation: Node, place: Place): Map<number, Schema> {
  const responses = resolved(operation['responses'] ?? {}, { ...place, depth: place.depth - DEEPER }) as Node
  const schemas = new Map<number, Schema>()
  for (const [status, response] of Object.entries(responses)) {
    const content = isNode(response) && isNode(response['content']) ? response['content'] : {}
    const json = content['application/json']
    if (isNode(json) && isNode(json['schema'])) schemas.set(Number(status), json['schema'])
  }
  return schemas
}

/** References replaced by what they name. Schemas that contain themselves end in an unconstrained one. */
function resolved(node: unknown, place: Place): unknown {
  if (place.depth > 12) return {}
  const below = { ...place, depth: place.depth + 1 }
  if (Array.isArray(node)) return node.map((item) => resolved(item, below))
  if (!isNode(node)) return node
  const reference = node['$ref']
  if (typeof reference === 'string') return followReference(reference, below)
  return Object.fromEntries(Object.entries(node).map(([key, value]) => [key, resolved(value, below)]))
}

function followReference(reference: string, place: Place): unknown {
  const [target = '', pointer = ''] = reference.split('#')
  const file = target === '' ? place.file : resolve(dirname(place.file), target)
  const document = target === '' ? place.document : readYaml(file)
  let found: unknown = document
  for (const step of pointer.split('/').filter((part) => part !== '')) {
    found = isNode(found) ? found[step] : undefined
  }
  return found === undefined ? {} : resolved(found, { file, document, depth: place.depth })
}

/** What an identity server's documents say is left open: they are not here. */
function readYaml(file: string): Node {
  const known = documents.get(file)
  if (known !== undefined) return known
  const document = existsSync(file) ? (parse(readFileSync(file, 'utf8')) as Node) : {}
  documents.set(file, document)
  return document
}

/** What has been read: many operations share files. */
const documents = new Map<string, Node>()

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
