import { expect } from 'chai'
import { ESLint } from 'eslint'
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve, sep } from 'node:path'
import ts from 'typescript'
import { LAYERS, SERVICE_FOLDERS, type Layer } from '../../eslint.layers.js'

const root = resolve(import.meta.dirname, '../..')

interface Import {
  readonly from: string
  readonly to: string
  readonly typeOnly: boolean
}

describe('layers', () => {
  const files = ['src', 'commands', 'migrations'].flatMap(listSources)
  const imports = files.flatMap(importsOf)

  it('places every file in a layer', () => {
    expect(files.filter((file) => layerOf(file) === undefined)).to.deep.equal([])
  })

  it('only imports what lies below', () => {
    const wrong = imports.filter((one) => !isAllowed(one)).map(({ from, to }) => `${from} -> ${to}`)
    expect(wrong).to.deep.equal([])
  })

  it('imports files that exist, without cycles', () => {
    const known = new Set(files)
    expect(
      imports.filter(({ to }) => !known.has(to)).map(({ from, to }) => `${from} -> ${to}`),
    ).to.deep.equal([])
    expect(findCycle(imports.filter(({ typeOnly }) => !typeOnly))).to.deep.equal(undefined)
  })

  it('knows the folders of services', () => {
    const folders = readdirSync(join(root, 'src/services'), { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name)
    expect(SERVICE_FOLDERS).to.include.members(folders)
  })
})

describe('lint rules for layers', () => {
  const forbidden = [
    ['src/protocol/a.ts', '../storage/database.js'],
    ['src/protocol/a.ts', 'node:fs'],
    ['src/storage/stores/a.ts', '../../services/rooms/aliases.js'],
    ['src/services/rooms/a.ts', '../sync/sync.js'],
    ['src/services/sync/sections/a.ts', '../../media/file-store.js'],
    ['src/services/rooms/a.ts', '../../http/route.js'],
    ['src/services/rooms/a.ts', '../services.js'],
    ['src/services/rooms/a.ts', 'knex'],
    ['src/api/client/a.ts', '../../storage/database.js'],
    ['src/api/client/a.ts', '../../services/rooms/aliases.js'],
    ['commands/db/a.ts', '../../src/services/rooms/aliases.js'],
  ] as const
  const allowed = [
    ['src/storage/stores/a.ts', '../streams/sequences.js'],
    ['src/services/sync/sections/a.ts', '../sync-builder.js'],
    ['src/services/rooms/a.ts', '../events/event-sender.js'],
    ['src/services/rooms/a.ts', '../../storage/streams/sequences.js'],
    ['src/server/a.ts', '../services/rooms/aliases.js'],
    ['commands/db/a.ts', '../../src/storage/migrator.js'],
  ] as const

  for (const [file, specifier] of forbidden) {
    it(`refuse ${specifier} in ${file}`, async () => {
      expect(await restrictedImports(file, `import { a } from '${specifier}'`)).to.be.greaterThan(0)
    })
  }
  for (const [file, specifier] of allowed) {
    it(`let ${file} import ${specifier}`, async () => {
      expect(await restrictedImports(file, `import { a } from '${specifier}'`)).to.equal(0)
    })
  }
  it('let routes import types of services', async () => {
    const code = `import type { Aliases } from '../../services/rooms/aliases.js'`
    expect(await restrictedImports('src/api/client/a.ts', code)).to.equal(0)
  })
})

/** How often the rule against imports strikes; the rules that need types are left out. */
async function restrictedImports(file: string, code: string): Promise<number> {
  const config = (await new ESLint({ cwd: root }).calculateConfigForFile(file)) as {
    rules: Record<string, [number, ...unknown[]]>
    languageOptions: { parser: ESLint.Plugin }
    plugins: Record<string, ESLint.Plugin>
  }
  const rule = '@typescript-eslint/no-restricted-imports'
  const eslint = new ESLint({
    cwd: root,
    overrideConfigFile: true,
    baseConfig: {
      files: ['**/*.ts'],
      languageOptions: { parser: config.languageOptions.parser },
      plugins: { '@typescript-eslint': config.plugins['@typescript-eslint'] ?? {} },
      rules: { [rule]: config.rules[rule] ?? 'off' } as never,
    },
  })
  const results = await eslint.lintText(code, { filePath: join(root, file) })
  return results.flatMap(({ messages }) => messages).length
}

function listSources(folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)).split(sep).join('/'))
}

function importsOf(file: string): Import[] {
  const source = ts.createSourceFile(file, readFileSync(join(root, file), 'utf8'), ts.ScriptTarget.Latest)
  return source.statements.flatMap((statement) => {
    if (!ts.isImportDeclaration(statement) && !ts.isExportDeclaration(statement)) return []
    const specifier = statement.moduleSpecifier
    if (!specifier || !ts.isStringLiteral(specifier) || !specifier.text.startsWith('.')) return []
    const to = join(dirname(file), specifier.text).split(sep).join('/').replace(/\.js$/, '.ts')
    return [{ from: file, to, typeOnly: isTypeOnly(statement) }]
  })
}

function isTypeOnly(statement: ts.ImportDeclaration | ts.ExportDeclaration): boolean {
  if (ts.isExportDeclaration(statement)) return statement.isTypeOnly
  const clause = statement.importClause
  if (!clause) return false
  if (clause.phaseModifier === ts.SyntaxKind.TypeKeyword) return true
  const named = clause.namedBindings
  if (clause.name || !named || !ts.isNamedImports(named)) return false
  return named.elements.length > 0 && named.elements.every((element) => element.isTypeOnly)
}

/** The layer with the longest path that holds the file. */
function layerOf(file: string): Layer | undefined {
  return LAYERS.filter((layer) => file.startsWith(`${layer.path}/`)).sort(
    (a, b) => b.path.length - a.path.length,
  )[0]
}

function isAllowed({ from, to, typeOnly }: Import): boolean {
  const here = layerOf(from)
  const there = layerOf(to)
  if (!here || !there) return false
  return here === there || here.imports.includes(there.name) || (typeOnly && here.types.includes(there.name))
}

/** Some cycle, as the files on it; undefined when there is none. */
function findCycle(imports: readonly Import[]): string[] | undefined {
  const next = groupByFile(imports)
  const done = new Set<string>()
  const visit = (file: string, path: readonly string[]): string[] | undefined => {
    if (path.includes(file)) return [...path.slice(path.indexOf(file)), file]
    if (done.has(file)) return undefined
    done.add(file)
    for (const { to } of next.get(file) ?? []) {
      const cycle = visit(to, [...path, file])
      if (cycle) return cycle
    }
    return undefined
  }
  for (const file of next.keys()) {
    const cycle = visit(file, [])
    if (cycle) return cycle
  }
  return undefined
}

function groupByFile(imports: readonly Import[]): Map<string, Import[]> {
  const groups = new Map<string, Import[]>()
  for (const one of imports) groups.set(one.from, [...(groups.get(one.from) ?? []), one])
  return groups
}
