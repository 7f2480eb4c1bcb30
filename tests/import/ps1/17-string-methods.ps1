$tags = " noise_offset=0.05 ; min_snr_gamma=5 "
$pairs = $tags.Trim().Split(";") | ForEach-Object { "--" + $_.Trim() }
$v = "1.5.2".Split(".")[0..1] -join "_"
$n = "{0:D3}-{1:F2}-{2}" -f 7, 0.5, "Z".ToLower()
$q = 'abc'.Substring(1).ToUpper().Replace("B", "x").PadLeft(4, "0")
$m = [string]::Join("+", @("a","b")) + [string]::IsNullOrEmpty("")
$r = ("a1b2" -replace "[0-9]", "-") + (("x","y","z")[-1])
$flag = $v.StartsWith("1") -and $v.Contains("_")
accelerate launch sdxl_train_network.py --network_module=networks.lora --caption_extension=.txt $pairs `
  --training_comment "$v $n $q $m $r $flag" --keep_tokens $tags.Length
