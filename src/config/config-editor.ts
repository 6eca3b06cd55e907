import { isScalar, parseDocument, type Document } from 'yaml'
import { isJsonObject, type JsonValue } from '../util/json.js'
import { ConfigError, type KeyPath } from './config-error.js'

/**
 * A YAML file of a configuration that is to be changed: what is not touched keeps its words, order and comments. Texts
 * with `${NAME}` are left as they are.
 */
export class ConfigEditor {
  readonly file: string
  readonly #document: Document

  /** Throws a `ConfigError` for what is no YAML, or no map. */
  constructor(file: string, content: string) {
    this.file = file
    this.#document = parseDocument(content, { version: '1.1', uniqueKeys: false })
    const [error] = this.#document.errors
    if (error !== undefined) throw wrong(file, error.message)
    const values: unknown = this.#document.toJS() ?? {}
    if (!isJsonObject(values)) throw wrong(file, 'the file must hold a map of keys and values')
  }

  /** What stands there; undefined where nothing does. */
  get(path: KeyPath): JsonValue | undefined {
    const node: unknown = this.#document.getIn(path)
    const value: unknown =
      typeof node === 'object' && node !== null && 'toJS' in node
        ? (node as { toJS(document: Document): unknown }).toJS(this.#document)
        : node
    return (value ?? undefined) as JsonValue | undefined
  }

  /** Puts a value there, in the place of what is, with the maps on the way where there are none. */
  set(path: KeyPath, value: JsonValue): void {
    for (let length = 1; length < path.length; length++) {
      const parent = path.slice(0, length)
      // Also where the key stands without a value.
      const isThere = (this.#document.getIn(parent) ?? null) !== null
      if (!isThere) this.#document.setIn(parent, this.#document.createNode({}))
    }
    const node: unknown = this.#document.getIn(path, true)
    // Then quotes and the comment behind it stay.
    if (isScalar(node) && typeof node.value === 'string' && typeof value === 'string') node.value = value
    else this.#document.setIn(path, this.#document.createNode(value))
  }

  delete(path: KeyPath): void {
    this.#document.deleteIn(path)
  }

  toString(): string {
    return this.#document.toString({ lineWidth: 0, flowCollectionPadding: false })
  }
}

/** Of several files read as one, that in which a top-level key counts; the first where none has it. */
export function ownerOf(editors: readonly ConfigEditor[], key: string | number): ConfigEditor {
  return editors.findLast((editor) => editor.get([key]) !== undefined) ?? editors[0]!
}

function wrong(file: string, message: string): ConfigError {
  return new ConfigError([{ location: undefined, path: '', message: `${file}: ${message}` }])
}
