$preset = "Style-B"
$dim = 4
switch -Wildcard ($preset) {
    "style-*" { $dim = 16 }
    "*-b" { $alpha = 8; break }
    "*" { $alpha = 1 }
    default { $dim = 99 }
}
$sum = 0
foreach ($i in 1..4) { if ($i -eq 2) { continue }; if ($i -eq 4) { break }; $sum += $i }
$k = 0
while ($true) { $k++; if ($k -ge 3) { break } }
do { $k-- } until ($k -eq 1)
$a, $b = 5, 6
try { $c = $a + $b } catch { $c = 0 } finally { $c *= 2 }
accelerate launch sdxl_train_network.py --network_module=networks.lora --caption_extension=.txt `
  --network_dim=$dim --network_alpha=$alpha --seed=$sum --keep_tokens=$k --max_train_epochs=$c
