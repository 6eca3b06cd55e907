import { readFile } from 'node:fs/promises'
import type { Environment } from 'nunjucks'
import { isJsonObject, type JsonObject } from '../../util/json.js'
import type { KeyPath } from '../config-error.js'

/** Says that the configuration cannot be used. */
type Fail = (path: KeyPath, message: string) => void

/**
 * Puts into the settings of providers what they keep in files of its own: `client_secret_path`, and `key_file` of
 * `client_secret_jwt_key`. Says what is wrong with them, and with their templates.
 */
export async function completeOidcProviders(values: JsonObject, fail: Fail): Promise<void> {
  for (const { provider, path } of providersOf(values)) {
    await takeFile(provider, ['client_secret_path', 'client_secret'], path, fail)
    const key = provider['client_secret_jwt_key']
    if (isJsonObject(key)) {
      await takeFile(key, ['key_file', 'key'], [...path, 'client_secret_jwt_key'], fail)
    }
    await checkTemplates(provider, path, fail)
  }
}

function providersOf(values: JsonObject): { provider: JsonObject; path: KeyPath }[] {
  const { oidc_providers: list, oidc_config: single } = values
  const listed = Array.isArray(list)
    ? list.map((provider, index) => ({ provider, path: ['oidc_providers', index] as KeyPath }))
    : []
  const all = [...listed, { provider: single, path: ['oidc_config'] as KeyPath }]
  return all.flatMap(({ provider, path }) =>
    isJsonObject(provider) && (path.length > 1 || provider['enabled'] === true) ? [{ provider, path }] : [],
  )
}

async function takeFile(
  map: JsonObject,
  [fileKey, key]: readonly [string, string],
  path: KeyPath,
  fail: Fail,
): Promise<void> {
  const file = map[fileKey]
  if (file === undefined || file === null) return
  const at = [...path, fileKey]
  if (typeof file !== 'string') fail(at, 'expected a path')
  else if (map[key] !== undefined && map[key] !== null) fail(at, `${key} is set too: only one of them can be`)
  else {
    try {
      map[key] = (await readFile(file, 'utf8')).trim()
    } catch (error) {
      fail(at, (error as Error).message)
    }
  }
}

async function checkTemplates(provider: JsonObject, path: KeyPath, fail: Fail): Promise<void> {
  const mapping = provider['user_mapping_provider']
  const config = isJsonObject(mapping) ? mapping['config'] : undefined
  if (!isJsonObject(config)) return
  const extra = config['extra_attributes']
  const templates = [
    ...Object.entries(config).map(([key, text]) => ({ at: [key], text })),
    ...Object.entries(isJsonObject(extra) ? extra : {}).map(([key, text]) => ({
      at: ['extra_attributes', key],
      text,
    })),
  ]
  const { default: nunjucks } = await import('nunjucks')
  const environment = new nunjucks.Environment(null, { autoescape: false })
  environment.addFilter('localpart_from_email', String)
  for (const { at, text } of templates) {
    if (typeof text !== 'string') continue
    try {
      new nunjucks.Template(text, environment, '', true)
      const unknown = filtersOf(text, nunjucks).find((name) => !isFilter(environment, name))
      if (unknown !== undefined) throw new Error(`\n there is no filter ${unknown}`)
    } catch (error) {
      const [, reason = 'it cannot be read'] = (error as Error).message.split('\n')
      fail([...path, 'user_mapping_provider', 'config', ...at], `this is no template: ${reason.trim()}`)
    }
  }
}

/** What templates are parsed into, of which the library's types say nothing. */
interface Syntax {
  readonly parser: { parse(text: string): { findAll(type: unknown): readonly FilterNode[] } }
  readonly nodes: { readonly Filter: unknown }
}

interface FilterNode {
  readonly name: { readonly value: string }
}

/** The filters of a template, which are looked for only when it is rendered. */
function filtersOf(text: string, nunjucks: unknown): string[] {
  const { parser, nodes } = nunjucks as Syntax
  return parser
    .parse(text)
    .findAll(nodes.Filter)
    .map(({ name }) => name.value)
}

function isFilter(environment: Environment, name: string): boolean {
  try {
    environment.getFilter(name)
    return true
  } catch {
    return false
  }
}
