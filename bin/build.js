// Builds dist/ from the sources: a file for each command, and what they share, packages included, in chunks. Reading a
// few files instead of some thousand takes a third off the time of a start. Types are checked apart, by
// `npm run typecheck`. With a directory as its argument, the whole program is put there, but for the packages.
import { execFileSync } from 'node:child_process'
import { cpSync, rmSync, symlinkSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { build } from 'esbuild'
import { writeManifest } from './manifest.js'

const root = dirname(import.meta.dirname)
const target = resolve(process.argv[2] ?? root)

/** What is no JavaScript, what finds its own files by where it lies, what few commands load, and what is not there. */
const EXTERNAL = [
  'bcrypt',
  'sqlite3',
  'inquirer',
  'libsodium-wrappers',
  'nunjucks',
  'nodemailer',
  'sanitize-html',
  'htmlparser2',
  'sharp',
  '@aws-sdk/client-s3',
  // What knex and pg would load for others.
  'pg-native',
  'pg-query-stream',
  'cloudflare:sockets',
  // What oclif would load to run a plugin's sources.
  'ejs',
  'ts-node',
  'tsx',
  'typescript',
]

/** CommonJS packages in a chunk that is an ES module still ask for these. */
const COMMONJS = [
  "import { createRequire as createRequireOfChunk } from 'node:module'",
  'const require = createRequireOfChunk(import.meta.url)',
  'const __filename = import.meta.filename',
  'const __dirname = import.meta.dirname',
].join('\n')

/** Of packages that come as a whole, what is used: reading the rest would make every start longer. */
const PARTS = [
  {
    what: /^undici$/,
    contents: `
      import api from 'undici/lib/api/index.js'
      import Dispatcher from 'undici/lib/dispatcher/dispatcher.js'
      // As its own index does.
      Object.assign(Dispatcher.prototype, api)
      export { default as Agent } from 'undici/lib/dispatcher/agent.js'
      export { default as Pool } from 'undici/lib/dispatcher/pool.js'
      export { default as buildConnector } from 'undici/lib/core/connect.js'`,
  },
  // zod's messages of errors in languages that nobody chooses.
  { what: /^\.\.\/locales\/index\.js$/, contents: `export { default as en } from 'zod/v4/locales/en.js'` },
  // The types that koa sets by itself; all others are written out where they are set.
  {
    what: /^mime-db$/,
    contents: `
      module.exports = {
        'application/json': { source: 'iana', charset: 'UTF-8', extensions: ['json'] },
        'application/octet-stream': { source: 'iana', extensions: ['bin'] },
        'text/html': { source: 'iana', extensions: ['html'] },
        'text/plain': { source: 'iana', extensions: ['txt'] },
      }`,
  },
  // Databases that knex knows and we do not.
  {
    what: /^\.\/(better-sqlite3|cockroachdb|mariadb|mssql|mysql2?|oracle|oracledb|pgnative|redshift)$/,
    contents: '',
  },
]
const onlyParts = {
  name: 'only-parts',
  setup({ onResolve, onLoad }) {
    PARTS.forEach(({ what, contents }, index) => {
      const namespace = `part-${index}`
      onResolve({ filter: what }, ({ path }) => ({ path, namespace }))
      onLoad({ filter: /.*/, namespace }, () => ({ contents, resolveDir: root }))
    })
  },
}

/** What a running server consists of is a file of its own: where its module is asked for, that file is loaded. */
const compiledServer = {
  name: 'compiled-server',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /\/cli\/serve\.js$/ }, () => ({ path: 'server.cjs', namespace: 'compiled' }))
    onLoad({ filter: /.*/, namespace: 'compiled' }, ({ path }) => ({
      contents: `
        import { join } from 'node:path'
        import { loadCompiled } from './bin/compiled.js'
        import { packageRoot } from './src/util/package-root.js'
        export const { readCheckedConfig, runServer } = loadCompiled(join(packageRoot(), 'dist', '${path}')).exports`,
      resolveDir: root,
    }))
  },
}

const common = {
  absWorkingDir: root,
  bundle: true,
  platform: 'node',
  target: 'node20.19',
  external: EXTERNAL,
  // Names stay, for the traces of errors; so do lines, more or less.
  minifyWhitespace: true,
  minifySyntax: true,
  lineLimit: 160,
  sourcemap: true,
  sourcesContent: false,
  logLevel: 'warning',
}

rmSync(join(target, 'dist'), { recursive: true, force: true })
await build({
  ...common,
  // The others are for `bin/`, for oclif, and a process of their own.
  entryPoints: [
    'commands/**/*.ts',
    'src/cli/program.ts',
    'src/cli/command-not-found.ts',
    'src/config/generate.ts',
    'src/services/media/inspection-process.ts',
  ],
  outbase: '.',
  outdir: join(target, 'dist'),
  chunkNames: 'chunks/[name]-[hash]',
  splitting: true,
  banner: { js: COMMONJS },
  format: 'esm',
  plugins: [onlyParts, compiledServer],
})
await build({
  ...common,
  entryPoints: ['src/cli/serve.ts'],
  outfile: join(target, 'dist/server.cjs'),
  format: 'cjs',
  charset: 'ascii',
  // A script that has bytecode cannot import.
  supported: { 'dynamic-import': false },
  define: { 'import.meta.filename': '__filename', 'import.meta.dirname': '__dirname' },
  plugins: [onlyParts],
})
if (target !== root) {
  for (const part of ['package.json', 'bin', 'templates']) {
    cpSync(join(root, part), join(target, part), { recursive: true })
  }
  symlinkSync(join(root, 'node_modules'), join(target, 'node_modules'))
}
execFileSync(process.execPath, [join(root, 'bin/keep-bytecode.js'), target], { stdio: 'inherit' })
await writeManifest(target)
