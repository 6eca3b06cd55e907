export interface Layer {
  readonly name: string
  readonly path: string
  readonly imports: readonly string[]
  readonly types: readonly string[]
}
export const SERVICE_FOLDERS: readonly string[]
export const LAYERS: readonly Layer[]
