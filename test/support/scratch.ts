import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface Scratch {
  /** The directory of the running test. */
  readonly directory: string
  path(name: string): string
  /** Writes a file and gives its path. */
  write(name: string, content: string): string
}

/** A directory of its own for each test of the suite that calls this; removed afterwards. */
export function useScratch(): Scratch {
  let directory = ''
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'mxhs-scratch-'))
  })
  afterEach(() => {
    rmSync(directory, { recursive: true, force: true })
  })
  const path = (name: string): string => join(directory, name)
  return {
    get directory() {
      return directory
    },
    path,
    write(name, content) {
      writeFileSync(path(name), content)
      return path(name)
    },
  }
}
