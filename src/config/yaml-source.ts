import {
  isMap,
  isNode,
  isScalar,
  LineCounter,
  parseDocument,
  type Document,
  type ScalarTag,
  type Tags,
} from 'yaml'
import { isJsonObject, type JsonObject } from '../util/json.js'
import { ConfigError, type ConfigNotice, type KeyPath, type SourceLocation } from './config-error.js'
import { interpolate, type Interpolation } from './interpolation.js'

/** A YAML file: what it says, and where. */
export class YamlSource {
  readonly file: string
  readonly values: Readonly<JsonObject>
  readonly #document: Document
  readonly #lines: LineCounter

  /**
   * As Synapse reads it: YAML 1.1, in which `yes` is true, and of keys that are repeated the last one counts. Throws a
   * `ConfigError` for what is no YAML, or no map. With `env`, `${NAME}` in values stands for a variable of it.
   */
  constructor(file: string, content: string, env?: Interpolation['env']) {
    this.file = file
    this.#lines = new LineCounter()
    this.#document = parseDocument(content, {
      version: '1.1',
      lineCounter: this.#lines,
      uniqueKeys: false,
      customTags: likePython,
      prettyErrors: false,
    })
    this.values = this.#read(env)
  }

  /** Where the value is, or its key, or what is nearest to it. */
  locate(path: KeyPath): SourceLocation {
    for (let length = path.length; length > 0; length--) {
      const node: unknown = this.#document.getIn(path.slice(0, length), true)
      if (isNode(node) && node.range) return this.#at(node.range[0])
      const key = this.#keyOffset(path.slice(0, length))
      if (key !== undefined) return this.#at(key)
    }
    return this.#at(0)
  }

  /** Where the key is, or what is nearest to it. */
  locateKey(path: KeyPath): SourceLocation {
    const key = this.#keyOffset(path)
    return key === undefined ? this.locate(path) : this.#at(key)
  }

  #read(env: Interpolation['env'] | undefined): JsonObject {
    const [error] = this.#document.errors
    if (error !== undefined) throw this.#wrong(error.pos[0], error.message)
    if (env !== undefined) this.#interpolate(env)
    const values: unknown = this.#document.toJS() ?? {}
    if (isJsonObject(values)) return values
    throw this.#wrong(0, 'the file must hold a map of keys and values')
  }

  #interpolate(env: Interpolation['env']): void {
    const issues: ConfigNotice[] = []
    interpolate(this.#document, {
      env,
      fail: (offset, message) => issues.push({ location: this.#at(offset), path: '', message }),
    })
    if (issues.length > 0) throw new ConfigError(issues)
  }

  #wrong(offset: number, message: string): ConfigError {
    return new ConfigError([{ location: this.#at(offset), path: '', message }])
  }

  #keyOffset(path: KeyPath): number | undefined {
    const parent: unknown =
      path.length > 1 ? this.#document.getIn(path.slice(0, -1), true) : this.#document.contents
    if (!isMap(parent)) return undefined
    const wanted = String(path.at(-1))
    const pair = parent.items.findLast(({ key }) => isScalar(key) && String(key.value) === wanted)
    return isNode(pair?.key) ? pair.key.range?.[0] : undefined
  }

  #at(offset: number): SourceLocation {
    const { line, col } = this.#lines.linePos(offset)
    return { file: this.file, line: Math.max(line, 1), column: Math.max(col, 1) }
  }
}

const TRUE = /^(?:[Yy]es|YES|[Tt]rue|TRUE|[Oo]n|ON)$/
const FALSE = /^(?:[Nn]o|NO|[Ff]alse|FALSE|[Oo]ff|OFF)$/

/** To Python's YAML, other than to the standard, `y` and `n` are texts. */
function likePython(tags: Tags): Tags {
  return tags.map((tag): Tags[number] => {
    if (typeof tag !== 'object' || tag.tag !== 'tag:yaml.org,2002:bool') return tag
    const { test } = tag as ScalarTag
    return { ...(tag as ScalarTag), test: test?.test('true') ? TRUE : FALSE }
  })
}
