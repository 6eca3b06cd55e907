import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { packageRoot } from '../../src/util/package-root.js'

/** Where a proxy of a test listens and what it passes requests on to. */
export interface ProxyPlaces {
  /** In the place of 443 and 8448. */
  readonly clients: number
  readonly federation: number
  /** In the place of 8008. */
  readonly server: number
  /** Files in PEM: the certificate, its key, both. */
  readonly certificate: string
  readonly key: string
  readonly both: string
  /** For what a proxy writes. */
  readonly directory: string
}

/** A reverse proxy that the documentation shows how to set up. */
export interface DocumentedProxy {
  readonly program: string
  /** The whole configuration of the program, with what the documentation says in it. */
  readonly config: (places: ProxyPlaces) => string
  /** Looks at a configuration in a file, and runs with it in the foreground. */
  readonly check: (file: string) => readonly string[]
  readonly run: (file: string) => readonly string[]
}

/** The blocks of a language in docs/reverse-proxies.md, in order. */
function blocksOf(language: string): string[] {
  const text = readFileSync(join(packageRoot(), 'docs/reverse-proxies.md'), 'utf8')
  const blocks = [...text.matchAll(new RegExp(`^\`\`\`${language}\\n([^]*?)^\`\`\`$`, 'gm'))]
  if (blocks.length === 0) throw new Error(`docs/reverse-proxies.md shows nothing of ${language}`)
  return blocks.map(([, block = '']) => block)
}

/** What the documentation says, at the places of a test. */
function placed(block: string, places: ProxyPlaces): string {
  return block
    .replace(/\b443\b/g, String(places.clients))
    .replace(/\b8448\b/g, String(places.federation))
    .replace(/\b8008\b/g, String(places.server))
    .replace(/\/\S+\/fullchain\.pem/g, places.certificate)
    .replace(/\/\S+\/privkey\.pem/g, places.key)
    .replace(/\/etc\/haproxy\/\S+\.pem/g, places.both)
}

const APACHE_MODULES = [
  'mpm_event',
  'authz_core',
  'headers',
  'proxy',
  'proxy_http',
  'socache_shmcb',
  'ssl',
] as const

export const DOCUMENTED_PROXIES: readonly DocumentedProxy[] = [
  {
    program: 'nginx',
    config: (places) => {
      const { directory } = places
      const kinds = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
      return `pid ${directory}/nginx.pid;
daemon off;
error_log ${directory}/nginx.log;
events {}
http {
${kinds.map((kind) => `${kind}_temp_path ${directory}/${kind};`).join('\n')}
access_log off;
${placed(blocksOf('nginx')[0]!, places)}}
`
    },
    check: (file) => ['-t', '-c', file],
    run: (file) => ['-c', file],
  },
  {
    program: 'caddy',
    // Otherwise it would ask for a certificate of its own.
    config: (places) => `{
    admin off
    auto_https off
    storage file_system ${places.directory}/caddy
}
${placed(blocksOf('caddyfile')[0]!, places)
  .replace('matrix.example.org,', `https://matrix.example.org:${places.clients},`)
  .replace(` matrix.example.org:${places.federation}`, ` https://matrix.example.org:${places.federation}`)
  .replace('{\n', `{\n    tls ${places.certificate} ${places.key}\n`)}`,
    check: (file) => ['validate', '--adapter', 'caddyfile', '--config', file],
    run: (file) => ['run', '--adapter', 'caddyfile', '--config', file],
  },
  {
    program: 'haproxy',
    config: (places) => placed(blocksOf('haproxy')[0]!, places),
    check: (file) => ['-c', '-f', file],
    run: (file) => ['-db', '-f', file],
  },
  {
    program: 'apache2',
    config: (places) => `ServerName localhost
PidFile ${places.directory}/apache.pid
ErrorLog ${places.directory}/apache.log
${APACHE_MODULES.map((name) => `LoadModule ${name}_module /usr/lib/apache2/modules/mod_${name}.so`).join('\n')}
Listen ${places.clients}
${placed(blocksOf('apache')[0]!, places)}`,
    check: (file) => ['-t', '-f', file],
    run: (file) => ['-X', '-f', file],
  },
]
