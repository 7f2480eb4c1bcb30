# Three trainings, each from the last one's output.
$out = "out"
for ($phase = 1; $phase -le 3; $phase++) {
    $extra = @()
    if ($phase -gt 1) {
        $before = $phase - 1
        $extra += "--network_weights=$out/mila-p$before.safetensors"
    }
    $lr = switch ($phase) { 1 { "2e-4" } 2 { "1e-4" } default { "5e-5" } }
    accelerate launch ./sdxl_train_network.py --network_module=networks.lora --caption_extension=.txt `
        --output_dir=$out --output_name="mila-p$phase" --learning_rate=$lr --max_train_steps=$(500 * $phase) $extra
}
