import { rowsOf, type SiteView } from './engines/rows.ts'
import { sglang } from './engines/sglang.ts'
import { triton } from './engines/triton.ts'
import { trtllm } from './engines/trtllm.ts'
import { vllm } from './engines/vllm.ts'
import type { Family } from './metrics-text.ts'
import type { EngineName } from './options.ts'

/** Everything a site tells of itself, in the names of its engine. */
export const familiesOf = (engine: EngineName, view: SiteView): Family[] => {
  const rows = rowsOf(view)
  switch (engine) {
    case 'vllm':
      return vllm(view, rows, false)
    case 'vllm-old':
      return vllm(view, rows, true)
    case 'sglang':
      return sglang(view, rows)
    case 'trtllm':
      return trtllm(view, rows)
    case 'triton':
      return triton(view, rows)
  }
}
