import js from '@eslint/js'
import { createTypeScriptImportResolver } from 'eslint-import-resolver-typescript'
import { defineConfig } from 'eslint/config'
import { importX } from 'eslint-plugin-import-x'
import tseslint from 'typescript-eslint'
import { LAYERS } from './eslint.layers.js'

/** One rule per layer and what it must not import; paths are compared as they are written (`../storage/...`). */
const layerRules = LAYERS.map((layer) => ({
  files: [`${layer.path}/**/*.ts`],
  // A folder of services is a layer of its own.
  ignores: layer.name === 'services' ? ['src/services/*/**'] : [],
  rules: { '@typescript-eslint/no-restricted-imports': ['error', { patterns: restrictions(layer) }] },
}))

function restrictions(layer) {
  const others = LAYERS.filter((other) => other.name !== layer.name && !layer.imports.includes(other.name))
  const layerPatterns = others.map((other) => ({
    regex: importPattern(layer, other),
    allowTypeImports: layer.types.includes(other.name),
    message: layer.types.includes(other.name)
      ? `${layer.name} may import only types of ${other.name}.`
      : `${layer.name} may not import ${other.name}: imports point down only.`,
  }))
  return [...layerPatterns, ...packageRestrictions(layer)]
}

/** Relative imports that lead from a layer into another: `../` as often as it takes, then the other's path. */
function importPattern(from, to) {
  const [, ...fromRest] = from.path.split('/')
  const folder = to.path.replace(/^src\//, '')
  const sameService = from.path.startsWith('src/services/') && to.path.startsWith('src/services/')
  if (sameService) return `^(\\.\\./)+${folder.replace('services/', '')}/`
  if (to.name === 'services')
    return fromRest[0] === 'services' ? '^\\.\\./services\\.js$' : '^(\\.\\./)+(src/)?services/[^/]+$'
  return `^(\\.\\./)+(src/)?${folder}/`
}

function packageRestrictions({ name }) {
  const patterns = []
  if (!['storage', 'migrations'].includes(name)) {
    patterns.push({ regex: '^(knex|pg|sqlite3)$', message: 'Databases are the business of storage.' })
  }
  if (name !== 'net') {
    patterns.push({
      regex: '^(undici|node:dns|node:dns/promises)$',
      message: 'net is the only way out; use its HTTP client.',
      allowTypeImports: true,
    })
  }
  if (['protocol', 'http', 'api'].includes(name)) {
    patterns.push({ regex: '^(node:)?fs(/promises)?$', message: `${name} does not touch files.` })
  }
  if (name === 'protocol') {
    patterns.push({
      regex: '^node:(?!crypto$|buffer$)',
      message: 'The protocol is pure: no input, no output, no clock.',
    })
  }
  return patterns
}

const noTimers = ['setTimeout', 'setInterval', 'setImmediate'].map((name) => ({
  name,
  message: 'Take time from the injected Clock.',
}))
const noClock = [
  { object: 'Date', property: 'now', message: 'Take time from the injected Clock.' },
  { object: 'Math', property: 'random', message: 'Take randomness from util/random.ts.' },
]

const erasable = [
  { selector: 'TSEnumDeclaration', message: 'Use a union of literals.' },
  { selector: 'TSParameterProperty', message: 'Write the field out.' },
]
const noTopLevelState = {
  selector:
    'Program > VariableDeclaration[kind!="const"], Program > ExportNamedDeclaration > VariableDeclaration[kind!="const"]',
  message: 'Two servers must run in one process: keep state in an object.',
}
const noDefaultExport = {
  selector: 'ExportDefaultDeclaration',
  message: 'Named exports only; default exports are for oclif and configuration files.',
}

export default defineConfig(
  { ignores: ['dist/', 'node_modules/', 'coverage/', 'data/', '**/fixtures/'] },
  js.configs.recommended,
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.strictTypeChecked, tseslint.configs.stylisticTypeChecked],
    plugins: { 'import-x': importX },
    languageOptions: {
      parserOptions: { project: './tsconfig.test.json', tsconfigRootDir: import.meta.dirname },
    },
    settings: {
      'import-x/resolver-next': [createTypeScriptImportResolver({ project: './tsconfig.test.json' })],
      'import-x/extensions': ['.ts'],
    },
    rules: {
      'import-x/no-cycle': ['error', { ignoreExternal: true }],
      'import-x/no-duplicates': ['error', { 'prefer-inline': true }],
      'max-lines': ['error', { max: 500 }],
      'max-lines-per-function': ['error', { max: 80, skipComments: true, skipBlankLines: true }],
      'max-params': ['error', { max: 4 }],
      complexity: ['error', { max: 15 }],
      eqeqeq: 'error',
      'no-console': 'error',
      'no-restricted-globals': ['error', ...noTimers],
      'no-restricted-properties': ['error', ...noClock],
      'no-restricted-syntax': ['error', ...erasable, noTopLevelState, noDefaultExport],
      '@typescript-eslint/consistent-type-imports': ['error', { fixStyle: 'inline-type-imports' }],
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      // Wire objects have the names that the specification gives them, and index signatures need the brackets.
      '@typescript-eslint/dot-notation': 'off',
      '@typescript-eslint/restrict-template-expressions': [
        'error',
        { allowNumber: true, allowBoolean: true },
      ],
      // What `noUncheckedIndexedAccess` makes unavoidable, where the reader sees that the index exists.
      '@typescript-eslint/no-non-null-assertion': 'off',
    },
  },
  ...layerRules,
  // The one clock, and a driver that must not answer in the same turn.
  {
    files: ['src/util/clock.ts', 'src/storage/sqlite-connection.ts'],
    rules: { 'no-restricted-globals': 'off', 'no-restricted-properties': 'off' },
  },
  { files: ['src/util/random.ts', 'src/util/backoff.ts'], rules: { 'no-restricted-properties': 'off' } },
  // oclif finds commands by their default export, and they print.
  {
    files: ['commands/**/*.ts'],
    rules: { 'no-restricted-syntax': ['error', ...erasable, noTopLevelState], 'no-console': 'off' },
  },
  // A migration is as long as its tables.
  {
    files: ['migrations/**/*.ts'],
    rules: { 'max-lines-per-function': 'off', '@typescript-eslint/no-unsafe-member-access': 'off' },
  },
  {
    files: ['test/**/*.ts', 'bench/**/*.ts'],
    rules: {
      'max-lines-per-function': 'off',
      'no-console': 'off',
      'no-restricted-globals': 'off',
      'no-restricted-properties': 'off',
      '@typescript-eslint/no-empty-function': 'off',
      // chai's assertions are property reads.
      '@typescript-eslint/no-unused-expressions': 'off',
      '@typescript-eslint/require-await': 'off',
    },
  },
  {
    files: ['**/*.js'],
    languageOptions: { globals: { process: 'readonly', console: 'readonly' } },
  },
  {
    // Scripts of pages.
    files: ['templates/**/*.js'],
    languageOptions: {
      globals: { document: 'readonly', fetch: 'readonly', setTimeout: 'readonly', clearTimeout: 'readonly' },
    },
  },
)
