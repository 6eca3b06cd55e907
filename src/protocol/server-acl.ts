import { compileGlob, type GlobMatcher } from '../util/glob.js'
import type { JsonObject, JsonValue } from '../util/json.js'
import type { ServerName } from './ids.js'

const IPV4_LITERAL = /^(?:(?:[01]?[0-9]{1,2}|2[0-4][0-9]|25[0-5])(?:\.(?!$)|$)){4}$/

/**
 * Which servers may take part in a room, compiled from the content of its `m.room.server_acl` event. A room without that
 * event has no `ServerAcl` and lets everybody in.
 * https://spec.matrix.org/latest/client-server-api/#mroomserver_acl
 */
export class ServerAcl {
  readonly #allowIpLiterals: boolean
  readonly #allow: readonly GlobMatcher[]
  readonly #deny: readonly GlobMatcher[]

  constructor(content: JsonObject) {
    this.#allowIpLiterals = content['allow_ip_literals'] !== false
    this.#allow = globs(content['allow'])
    this.#deny = globs(content['deny'])
  }

  isAllowed(serverName: ServerName): boolean {
    return this.allowsName(hostOf(serverName))
  }

  /** The same of a name as it is, with its port where it has one. */
  allowsName(host: string): boolean {
    // 2. If the server name is an IP address literal, and `allow_ip_literals` is present and false, deny.
    if (!this.#allowIpLiterals && (host.startsWith('[') || IPV4_LITERAL.test(host))) return false
    // 3. If the server name matches an entry in the deny list, deny.
    if (this.#deny.some((matches) => matches(host))) return false
    // 4. If the server name matches an entry in the allow list, allow. 5. Otherwise, deny.
    return this.#allow.some((matches) => matches(host))
  }
}

/** The server name without its port. */
function hostOf(serverName: ServerName): string {
  return serverName.replace(/:[0-9]+$/, '')
}

/** What is no list, or no text in it, does not count. */
function globs(patterns: JsonValue | undefined): GlobMatcher[] {
  if (!Array.isArray(patterns)) return []
  return patterns.flatMap((pattern) =>
    typeof pattern === 'string' ? [compileGlob(pattern, { ignoreCase: true })] : [],
  )
}
