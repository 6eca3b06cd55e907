import type * as Ldapts from 'ldapts'
import type { BerReader, Filter } from 'ldapts'
import { LdapFailure, type LdapConnection } from './ldap-connection.js'

/** An entry of a directory. */
export interface LdapEntry {
  readonly dn: string
  /** The values of each attribute that was asked for, by its name in lower case. */
  readonly attributes: ReadonlyMap<string, readonly string[]>
}

export interface LdapSearch {
  readonly base: string
  /** The base itself, or all that is below it, too. */
  readonly scope: 'base' | 'sub'
  /** What an attribute has to be; undefined: anything. */
  readonly match?: { readonly attribute: string; readonly value: string }
  /** Further conditions: https://www.rfc-editor.org/rfc/rfc4515. One after the other, all have to be met. */
  readonly filter?: string | undefined
  readonly attributes: readonly string[]
}

/** https://www.rfc-editor.org/rfc/rfc4511#appendix-B */
const BIND_RESPONSE = 0x61
const SEARCH_ENTRY = 0x64
const SEARCH_DONE = 0x65
const SEARCH_REFERENCE = 0x73
const EXTENDED_RESPONSE = 0x78
const SUCCESS = 0
const SIZE_LIMIT_EXCEEDED = 4
const START_TLS = '1.3.6.1.4.1.1466.20037'
const SEARCH_SECONDS = 10

type Library = typeof Ldapts

/** The operations of LDAP that are needed to find out who somebody is. All reject with an `LdapFailure`. */
export class LdapSession {
  readonly #library: Library
  readonly #connection: LdapConnection
  #lastId = 0

  private constructor(library: Library, connection: LdapConnection) {
    this.#library = library
    this.#connection = connection
  }

  static async over(connection: LdapConnection): Promise<LdapSession> {
    return new LdapSession(await import('ldapts'), connection)
  }

  /** https://www.rfc-editor.org/rfc/rfc4511#section-4.14 */
  async askForTls(): Promise<void> {
    const request = new this.#library.ExtendedRequest({ messageId: this.#nextId(), oid: START_TLS })
    const [answer] = await this.#exchange(request.write(), [EXTENDED_RESPONSE])
    const code = answer && readResult(answer.reader).code
    if (code !== SUCCESS) throw new LdapFailure(`it refuses StartTLS (result ${code})`)
  }

  /**
   * Whether the directory knows this password of this entry; with both empty, whether it serves somebody without a name.
   * https://www.rfc-editor.org/rfc/rfc4513#section-5.1
   */
  async bind(dn: string, password: string): Promise<boolean> {
    // A name without a password is nobody, to which directories say yes.
    if ((dn === '') !== (password === '')) return false
    const request = new this.#library.BindRequest({ messageId: this.#nextId(), dn, password })
    const [answer] = await this.#exchange(request.write(), [BIND_RESPONSE])
    return answer !== undefined && readResult(answer.reader).code === SUCCESS
  }

  /** At most two entries, or a few more where the directory does not count: whoever looks for somebody wants one. */
  async search({ base, scope, match, filter, attributes }: LdapSearch): Promise<LdapEntry[]> {
    const request = new this.#library.SearchRequest({
      messageId: this.#nextId(),
      baseDN: base,
      scope,
      derefAliases: 'always',
      filter: this.#filterOf(match, filter),
      attributes: [...attributes],
      sizeLimit: 2,
      timeLimit: SEARCH_SECONDS,
    })
    const answers = await this.#exchange(request.write(), [SEARCH_ENTRY, SEARCH_REFERENCE, SEARCH_DONE])
    const done = answers.at(-1)!
    const { code, message } = readResult(done.reader)
    if (code !== SUCCESS && code !== SIZE_LIMIT_EXCEEDED) {
      throw new LdapFailure(`it refuses the search (result ${code}): ${message.slice(0, 200)}`)
    }
    return answers
      .filter(({ operation }) => operation === SEARCH_ENTRY)
      .map(({ reader }) => readEntry(reader))
  }

  #filterOf(match: LdapSearch['match'], filter: string | undefined): Filter {
    const { AndFilter, EqualityFilter, FilterParser, PresenceFilter } = this.#library
    // Never as a text: what somebody gives as their name must not become a condition.
    const wanted = match ? new EqualityFilter(match) : new PresenceFilter({ attribute: 'objectClass' })
    return filter === undefined
      ? wanted
      : new AndFilter({ filters: [wanted, FilterParser.parseString(`(&${filter})`)] })
  }

  #nextId(): number {
    return ++this.#lastId
  }

  async #exchange(request: Buffer, operations: readonly number[]): Promise<LdapAnswer[]> {
    const answers: LdapAnswer[] = []
    await this.#connection.exchange(request, (message) => {
      const answer = this.#read(message)
      if (answer.messageId !== this.#lastId || !operations.includes(answer.operation)) {
        throw new LdapFailure('it answers what was not asked')
      }
      answers.push(answer)
      return answer.operation === operations.at(-1)
    })
    return answers
  }

  #read(message: Buffer): LdapAnswer {
    const reader = new this.#library.BerReader(message)
    return readable(() => {
      reader.readSequence()
      const messageId = present(reader.readInt())
      return { messageId, operation: present(reader.readSequence()), reader }
    })
  }
}

interface LdapAnswer {
  readonly messageId: number
  readonly operation: number
  readonly reader: BerReader
}

/** https://www.rfc-editor.org/rfc/rfc4511#section-4.1.9 */
function readResult(reader: BerReader): { code: number; message: string } {
  return readable(() => {
    const code = present(reader.readEnumeration())
    reader.readString()
    return { code, message: reader.readString() ?? '' }
  })
}

/** https://www.rfc-editor.org/rfc/rfc4511#section-4.5.2 */
function readEntry(reader: BerReader): LdapEntry {
  return readable(() => {
    const dn = present(reader.readString())
    const attributes = new Map<string, string[]>()
    readAll(reader, SEQUENCE, () => {
      reader.readSequence()
      const name = present(reader.readString()).toLowerCase()
      const values: string[] = []
      readAll(reader, SET, () => values.push(present(reader.readString())))
      attributes.set(name, values)
    })
    return { dn, attributes }
  })
}

const SEQUENCE = 0x30
const SET = 0x31

function readAll(reader: BerReader, tag: number, readOne: () => void): void {
  present(reader.readSequence(tag))
  const end = reader.offset + reader.length
  while (reader.offset < end) {
    const { offset } = reader
    readOne()
    if (reader.offset === offset) throw new RangeError('nothing is left to read')
  }
}

/** What the library does not find is null. */
function present<T>(value: T | null): T {
  if (value === null) throw new RangeError('something is missing')
  return value
}

function readable<T>(read: () => T): T {
  try {
    return read()
  } catch (error) {
    throw new LdapFailure('it answers what cannot be read', { cause: error })
  }
}
