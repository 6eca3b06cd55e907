// Reads a CommonJS file of dist/ together with the bytecode that V8 made of it when the program was built. Compiling
// what a server consists of takes a seventh of its start. Another Node.js than the one that built it refuses the bytecode
// and compiles as always.
import { readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname } from 'node:path'
import { Script } from 'node:vm'

/**
 * What the module in `file` exports, and the script that it is. The file must be ASCII: then V8 keeps one byte of each
 * character.
 */
export function loadCompiled(file) {
  const source = readFileSync(file, 'latin1')
  const bytecode = bytecodeOf(file)
  const script = new Script(`(function (exports, require, module, __filename, __dirname) {${source}\n})`, {
    filename: file,
    ...(bytecode && { cachedData: bytecode }),
  })
  const module = { exports: {} }
  script.runInThisContext()(module.exports, createRequire(file), module, file, dirname(file))
  return { exports: module.exports, script }
}

/** Keeps the bytecode of all functions of the script that have run by now. */
export function keepBytecode(file, script) {
  writeFileSync(bytecodePath(file), script.createCachedData())
}

function bytecodeOf(file) {
  try {
    return readFileSync(bytecodePath(file))
  } catch {
    // It is not needed.
    return undefined
  }
}

function bytecodePath(file) {
  return file.replace(/\.cjs$/, '.bytecode')
}
