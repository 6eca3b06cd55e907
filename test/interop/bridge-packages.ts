import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'

/** A directory for packages that are none of the project's: they fetch programs when they are installed. */
export const PACKAGES_VARIABLE = 'MXHS_INTEROP_BRIDGES'
const INSTALL_TIMEOUT_MS = 300_000

/** The SDK of bots and bridges; the framework and the IRC library that the IRC bridge is made of. */
const PACKAGES = {
  'matrix-appservice-bridge': '10.1.0',
  'matrix-bot-sdk': '0.7.1',
  'matrix-org-irc': '3.0.0',
}
/** A native module that must be importable, though nothing here encrypts. */
const NATIVE = '@matrix-org/matrix-sdk-crypto-nodejs'

/** Where packages are, or why they are not. */
export type FoundPackages = { readonly packages: BridgePackages } | { readonly missing: string }

/** Packages of a directory of their own. */
export class BridgePackages {
  readonly directory: string
  readonly #require: NodeJS.Require

  constructor(directory: string) {
    this.directory = directory
    this.#require = createRequire(join(directory, 'package.json'))
  }

  /** What a package exports, as the caller knows it. */
  // The packages' own types are not there when this is compiled.
  // eslint-disable-next-line @typescript-eslint/no-unnecessary-type-parameters
  load<T>(name: keyof typeof PACKAGES): T {
    return this.#require(name) as T
  }
}

/** Installs what is not there yet. */
export async function findBridgePackages(): Promise<FoundPackages> {
  const named = process.env[PACKAGES_VARIABLE]
  if (named === undefined || named === '') {
    return {
      missing: `${PACKAGES_VARIABLE} names no directory into which npm may install ${Object.keys(PACKAGES).join(', ')}.`,
    }
  }
  const directory = resolve(named)
  try {
    if (!(await isInstalled(directory))) await install(directory)
  } catch (error) {
    return { missing: `npm cannot install the packages into ${directory}: ${String(error)}` }
  }
  return { packages: new BridgePackages(directory) }
}

async function isInstalled(directory: string): Promise<boolean> {
  for (const [name, version] of Object.entries(PACKAGES)) {
    const file = join(directory, 'node_modules', name, 'package.json')
    if (!existsSync(file)) return false
    const manifest = JSON.parse(await readFile(file, 'utf8')) as { version: string }
    if (manifest.version !== version) return false
  }
  return true
}

async function install(directory: string): Promise<void> {
  const standIn = join(directory, 'stand-in')
  await mkdir(standIn, { recursive: true })
  await writeFile(join(standIn, 'package.json'), JSON.stringify({ name: NATIVE, version: '0.4.0' }))
  await writeFile(join(standIn, 'index.js'), 'module.exports = {}\n')
  const manifest = {
    name: 'bridges',
    private: true,
    dependencies: PACKAGES,
    overrides: { [NATIVE]: 'file:./stand-in' },
  }
  await writeFile(join(directory, 'package.json'), JSON.stringify(manifest))
  const args = ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error']
  await promisify(execFile)('npm', args, { cwd: directory, timeout: INSTALL_TIMEOUT_MS })
}
