import { section } from '../section.js'
import { choice, flag, group, integer, listOf, optional, text, value, withDefault } from '../values.js'

/** What a listener can serve. */
export type ResourceName =
  | 'client'
  | 'consent'
  | 'federation'
  | 'health'
  | 'keys'
  | 'media'
  | 'metrics'
  | 'openid'
  | 'replication'
  | 'static'

export interface ListenerConfig {
  readonly type: 'http' | 'metrics'
  /** Where to listen: a port on each of the addresses, or a Unix socket. */
  readonly address:
    | { readonly port: number; readonly bindAddresses: readonly string[] }
    | { readonly path: string; readonly mode: number }
  readonly tls: boolean
  /** The client's address is the first of `X-Forwarded-For`. */
  readonly xForwarded: boolean
  /** A header from which the request's ID is taken. */
  readonly requestIdHeader: string | undefined
  /** A name for logs and metrics. */
  readonly tag: string
  readonly resources: readonly { readonly name: ResourceName; readonly compress: boolean }[]
}

const RESOURCES = [
  'client',
  'consent',
  'federation',
  'health',
  'keys',
  'media',
  'metrics',
  'openid',
  'replication',
  'static',
] as const satisfies readonly ResourceName[]
/** Stood for a client in the browser, which Synapse has given up; files of many years have it still. */
const WEB_CLIENT = 'webclient'
/** What a listener does not serve, and how that is said. */
const NOT_SERVED: ReadonlyMap<string, string> = new Map([
  ['replication', 'is not served yet'],
  [WEB_CLIENT, 'has no effect: Synapse has given it up, too'],
])

/** As Synapse: IPv6 and IPv4. Where `::` takes both, the second is no error. */
const EVERYWHERE = ['::', '0.0.0.0']
const ONLY_HERE = ['127.0.0.1']

const port = integer(0, 65535)
/** `660`, `"0660"` and YAML's `0660`, which arrives as 432, all mean `rw-rw----`. */
const fileMode = value('the permissions of a file, such as 660', (raw) => {
  if (typeof raw !== 'number' && typeof raw !== 'string') return undefined
  if (typeof raw === 'number' && raw >= 0 && raw <= 0o777) return raw
  const digits = /^(?:0o?)?([0-7]{3})$/.exec(String(raw))?.[1]
  return digits === undefined ? undefined : parseInt(digits, 8)
})

const listener = group({
  type: withDefault(choice('http', 'metrics', 'manhole'), 'http'),
  port: optional(port),
  path: optional(text),
  mode: withDefault(fileMode, 0o666),
  bind_addresses: optional(listOf(text, 'a list of addresses')),
  bind_address: optional(text),
  tls: withDefault(flag, false),
  x_forwarded: withDefault(flag, false),
  request_id_header: optional(text),
  tag: optional(text),
  resources: withDefault(
    listOf(
      group({
        names: withDefault(listOf(choice(...RESOURCES, WEB_CLIENT), `a list of ${RESOURCES.join(', ')}`), []),
        compress: withDefault(flag, false),
      }),
      'a list of maps with names',
    ),
    [],
  ),
})

/** Where the server listens, and its certificate. */
export const listeners = section(
  {
    listeners: withDefault(listOf(listener, 'a list of listeners'), []),
    tls_certificate_path: optional(text),
    tls_private_key_path: optional(text),
  },
  (raw, context) => {
    const served: ListenerConfig[] = []
    raw.listeners.forEach((entry, index) => {
      const at = ['listeners', index]
      if (entry.type === 'manhole') {
        context.warn([...at, 'type'], 'mxhs has no manhole: the listener is left out')
        return
      }
      if ((entry.port === undefined) === (entry.path === undefined)) {
        context.fail(at, 'expected either a port or the path of a Unix socket')
        return
      }
      if (entry.tls && (raw.tls_certificate_path === undefined || raw.tls_private_key_path === undefined)) {
        context.fail([...at, 'tls'], 'needs tls_certificate_path and tls_private_key_path')
      }
      entry.resources.forEach(({ names }, resource) => {
        for (const name of names) {
          const why = NOT_SERVED.get(name)
          if (why === undefined) continue
          context.warn([...at, 'resources', resource, 'names'], `the resource ${name} ${why}`)
        }
      })
      served.push({
        type: entry.type,
        address:
          entry.path === undefined
            ? { port: entry.port!, bindAddresses: bindAddresses(entry) }
            : { path: entry.path, mode: entry.mode },
        tls: entry.tls,
        xForwarded: entry.x_forwarded,
        requestIdHeader: entry.request_id_header,
        tag: entry.tag ?? entry.path ?? String(entry.port),
        resources: resourcesOf(entry),
      })
    })
    if (served.length === 0) context.warn(['listeners'], 'there is no listener: nobody can reach the server')
    return {
      list: served,
      /** Set when a listener has `tls`. */
      tlsCertificatePath: raw.tls_certificate_path,
      tlsPrivateKeyPath: raw.tls_private_key_path,
    }
  },
)

function bindAddresses(entry: {
  type: string
  bind_addresses: readonly string[] | undefined
  bind_address: string | undefined
}): readonly string[] {
  const given = [...(entry.bind_addresses ?? [])]
  if (entry.bind_address !== undefined) given.push(entry.bind_address)
  // An empty text means all addresses.
  const addresses = [...new Set(given.flatMap((address) => (address === '' ? EVERYWHERE : [address])))]
  if (addresses.length > 0) return addresses
  return entry.type === 'http' ? EVERYWHERE : ONLY_HERE
}

function resourcesOf(entry: {
  type: string
  resources: readonly { names: readonly (ResourceName | typeof WEB_CLIENT)[]; compress: boolean }[]
}): ListenerConfig['resources'] {
  if (entry.type === 'metrics') return [{ name: 'metrics', compress: false }]
  const byName = new Map<ResourceName, boolean>()
  for (const { names, compress } of entry.resources) {
    for (const name of names) {
      if (name === WEB_CLIENT || NOT_SERVED.has(name)) continue
      byName.set(name, (byName.get(name) ?? false) || compress)
    }
  }
  return [...byName].map(([name, compress]) => ({ name, compress }))
}
