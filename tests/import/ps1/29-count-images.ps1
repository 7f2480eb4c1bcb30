$dir = ".\train\10_x"
$images = Get-ChildItem $dir -Include *.png, *.jpg -Recurse | Measure-Object | % { $_.Count }
$repeats = [int]($dir.Split("\")[-1].Split("_")[0])
$steps = [math]::Max(500, $images * $repeats)
$every = 100 * $repeats
accelerate launch sdxl_train_network.py --network_module=networks.lora --caption_extension=.txt --train_data_dir=.\train `
  --max_train_steps=$steps --save_every_n_steps=$every
